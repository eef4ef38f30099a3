/*
 * Launches of the emulated device: a thread is a fiber, run to its next barrier, shuffle or mma; blocks one after the
 * other. Built with RS_TSAN, each thread is one of ThreadSanitizer's fibers.
 */
#include "emulator.h"

#include <sys/mman.h>

#include <unordered_map>

namespace {
struct Fiber : RsThread {
  void *stack_pointer, *sanitizer;
  enum { READY, AT_BARRIER, AT_WARP, DONE } state;
  const char *file;
  int line, phase, barriers, warp_barriers;
  uint32_t mask;
};
constexpr size_t STACK = 128 << 10;
std::vector<Fiber> fibers(MOST);
char *stacks;
void *scheduler_stack;
TSAN(void *scheduler_sanitizer; std::vector<void *> sanitizers; size_t sanitizers_used;)
struct Warp {
  uint64_t slots[2][32];
  uint32_t arrived;
  float a[2][32][4], b[2][32][2];
  char barriers[2];
} warps[MOST / 32];
std::unordered_map<std::string, Kernel> &kernels() {
  static std::unordered_map<std::string, Kernel> all;
  return all;
}
const Kernel *running;
const void *running_parameters;
struct Shared {
  const char *file;
  int line;
  char *memory;
};
std::vector<Shared> shared;
constexpr size_t SHARED = 256 << 10, SHARED_BLOCKS = WATCHED ? 1024 : 1;
char *all_shared, *shared_memory;
uint64_t blocks_run;
size_t shared_used, dynamic_bytes;
uint64_t random_state = 1, seed = 0;
uint32_t random32() {
  random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
  return random_state >> 33;
}

/* Saves what a call must preserve, exchanges stack pointers. */
extern "C" void rs_switch(void **save, void *to);
#if defined(__x86_64__)
asm(".text\n.type rs_switch,@function\nrs_switch:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp,(%rdi)\nmov %rsi,%rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n");
constexpr int SAVED = 6;
#elif defined(__aarch64__)
asm(".text\n.type rs_switch,%function\nrs_switch:\nsub sp,sp,#160\n"
    "stp x19,x20,[sp]\nstp x21,x22,[sp,#16]\nstp x23,x24,[sp,#32]\nstp x25,x26,[sp,#48]\nstp x27,x28,[sp,#64]\nstp "
    "x29,x30,[sp,#80]\n"
    "stp d8,d9,[sp,#96]\nstp d10,d11,[sp,#112]\nstp d12,d13,[sp,#128]\nstp d14,d15,[sp,#144]\n"
    "mov x2,sp\nstr x2,[x0]\nmov sp,x1\n"
    "ldp x19,x20,[sp]\nldp x21,x22,[sp,#16]\nldp x23,x24,[sp,#32]\nldp x25,x26,[sp,#48]\nldp x27,x28,[sp,#64]\nldp "
    "x29,x30,[sp,#80]\n"
    "ldp d8,d9,[sp,#96]\nldp d10,d11,[sp,#112]\nldp d12,d13,[sp,#128]\nldp d14,d15,[sp,#144]\nadd sp,sp,#160\nret\n");
#endif

Fiber *self() { return (Fiber *)rs_thread; }
[[maybe_unused]] char launch_start, launch_end, block_barriers[2]; /* addresses for TSan: launches follow each other */

/* Each thread is one of TSan's own, with a stack of its own, in 1024 threads' worth of blocks: more cost time at each
 * barrier. */
TSAN(void *next_sanitizer() {
  if (sanitizers_used == MOST) sanitizers_used = 0;
  if (sanitizers_used == sanitizers.size()) sanitizers.push_back(__tsan_create_fiber(0));
  return sanitizers[sanitizers_used++];
})

void yield() {
  TSAN(__tsan_switch_to_fiber(scheduler_sanitizer, __tsan_switch_to_fiber_no_sync));
  rs_switch(&self()->stack_pointer, scheduler_stack);
}

void fiber_main() {
  TSAN(__tsan_acquire(&launch_start));
  running->run(running_parameters);
  TSAN(__tsan_release(&launch_end));
  self()->state = Fiber::DONE;
  yield();
  abort();
}

void start(Fiber &fiber, unsigned number) {
  fiber.number = number;
  fiber.index = {number % rs_block_dim.x, number / rs_block_dim.x % rs_block_dim.y,
                 number / (rs_block_dim.x * rs_block_dim.y)};
  fiber.state = Fiber::READY;
  fiber.phase = fiber.barriers = fiber.warp_barriers = 0;
  unsigned stack = number;
  TSAN(fiber.sanitizer = next_sanitizer(); stack = (unsigned)sanitizers_used - 1;)
  void **top = (void **)(stacks + (stack + 1) * STACK) - 1;
#if defined(__x86_64__)
  *--top = (void *)fiber_main;
  top -= SAVED;
#else
  top = (void **)((uintptr_t)top & ~(uintptr_t)15) - 20;
  top[11] = (void *)fiber_main;
#endif
  fiber.stack_pointer = top;
}

void report_deadlock(unsigned count) {
  fprintf(stderr, "CUDA emulation: %s: threads wait for each other\n", running->name.c_str());
  for (unsigned i = 0; i < count; i++)
    if (i < 4 || fibers[i].state != fibers[i - 1].state || fibers[i].line != fibers[i - 1].line)
      fprintf(stderr, "  thread %u: %s %s:%d\n", i,
              fibers[i].state == Fiber::DONE         ? "has ended"
              : fibers[i].state == Fiber::AT_BARRIER ? "__syncthreads"
                                                     : "warp",
              fibers[i].file ? fibers[i].file : "", fibers[i].line);
  abort();
}

void run_block(unsigned count) {
  shared.clear();
  shared_used = dynamic_bytes;
  /* Memory of its own for each block of a launch: else they would seem to race for it. */
  shared_memory = all_shared + blocks_run++ % SHARED_BLOCKS * SHARED;
  poison(shared_memory, dynamic_bytes);
  for (auto &warp : warps) warp.arrived = 0;
  for (unsigned i = 0; i < count; i++) start(fibers[i], i);
  /* A warp runs until it can no further before the next one starts (odd seeds and 0), or all take turns. */
  unsigned all_warps = (count + 31) / 32, at_once = seed % 2 || !seed ? 1 : all_warps, first = seed ? random32() : 0,
           turn = seed ? random32() | 1 : 1;
  for (unsigned done = 0; done < count;) {
    unsigned ran = 0, waiting = 0;
    for (unsigned i = 0; i < all_warps; i += at_once) {
      unsigned from = (i + first) % all_warps * 32 * (at_once == 1), to = at_once == 1 ? from + 32 : count;
      if (to > count) to = count;
      for (unsigned before = ran + 1; before != ran;) {
        before = ran;
        for (unsigned j = 0; j < MOST; j++) {
          unsigned number = at_once == 1 ? from + (j * turn + first) % 32 : (j * turn + first) % MOST;
          if (at_once == 1 && j == 32) break;
          if (number >= to || fibers[number].state != Fiber::READY) continue;
          rs_thread = &fibers[number];
          TSAN(__tsan_switch_to_fiber(fibers[number].sanitizer, __tsan_switch_to_fiber_no_sync));
          rs_switch(&scheduler_stack, fibers[number].stack_pointer);
          ran++;
          if (fibers[number].state == Fiber::DONE) done++;
        }
      }
    }
    for (unsigned i = 0; i < count; i++) waiting += fibers[i].state == Fiber::AT_BARRIER;
    if (done == count) return;
    if (waiting + done != count) report_deadlock(count);
    int line = 0;
    for (unsigned i = 0; i < count; i++) {
      if (fibers[i].state != Fiber::AT_BARRIER) continue;
      if (line && fibers[i].line != line) report_deadlock(count);
      line = fibers[i].line;
      fibers[i].state = Fiber::READY;
    }
  }
}
}  // namespace

void start_blocks(uint64_t of_seed) {
  seed = of_seed;
  random_state = of_seed ? of_seed : 1;
  stacks =
      (char *)mmap(nullptr, MOST * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  all_shared = (char *)mmap(nullptr, SHARED * SHARED_BLOCKS, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stacks == MAP_FAILED || all_shared == MAP_FAILED) fail("no address space");
  TSAN(scheduler_sanitizer = __tsan_get_current_fiber());
}

const Kernel *find_kernel(const char *name) {
  auto found = kernels().find(name);
  return found == kernels().end() ? nullptr : &found->second;
}

void run(const Launch &launch) {
  running = launch.kernel;
  running_parameters = launch.parameters.data();
  rs_grid_dim = launch.grid;
  rs_block_dim = launch.block;
  dynamic_bytes = launch.shared;
  uint64_t blocks = (uint64_t)launch.grid.x * launch.grid.y * launch.grid.z, first = seed ? random32() % blocks : 0;
  TSAN(sanitizers_used = 0; __tsan_release(&launch_start));
  for (uint64_t i = 0; i < blocks; i++) {
    uint64_t block = seed % 2 ? (blocks - 1 - i + first) % blocks : (i + first) % blocks;
    rs_block_index = {(unsigned)(block % launch.grid.x), (unsigned)(block / launch.grid.x % launch.grid.y),
                      (unsigned)(block / launch.grid.x / launch.grid.y)};
    run_block(launch.block.x * launch.block.y * launch.block.z);
  }
  TSAN(__tsan_acquire(&launch_end));
  for (uint64_t address : launch.addresses) check_end(address, running->name.c_str());
  running = nullptr;
}

std::string where_kernel_is() {
  if (!running) return "";
  char text[256];
  snprintf(text, sizeof text, "%s, block %u %u %u, thread %u", running->name.c_str(), rs_block_index.x,
           rs_block_index.y, rs_block_index.z, rs_thread->number);
  return text;
}

/* ---- what kernels call ---- */

extern "C" {
dim3 rs_grid_dim, rs_block_dim, rs_block_index;
RsThread *rs_thread;

void rs_emulated_register(const char *name, void (*run)(const void *), size_t parameters, const uint32_t *) {
  kernels()[name] = {name, run, parameters};
}

void rs_emulated_barrier(const char *file, int line) {
  Fiber *fiber = self();
  fiber->file = file;
  fiber->line = line;
  fiber->state = Fiber::AT_BARRIER;
  /* Two addresses in turn for TSan, lest the next barrier, which others may have reached, counts as this one. */
  TSAN(char *barrier = &block_barriers[fiber->barriers++ % 2]; __tsan_release(barrier);)
  yield();
  TSAN(__tsan_acquire(barrier));
}

void rs_emulated_warp_barrier(uint32_t mask, const char *file, int line) {
  Fiber *fiber = self();
  unsigned base = fiber->number / 32 * 32, lane = fiber->number % 32;
  Warp &warp = warps[base / 32];
  if (!(mask >> lane & 1)) fail("%s: lane %u is not in its own mask (%s:%d)", running->name.c_str(), lane, file, line);
  fiber->file = file;
  fiber->line = line;
  fiber->mask = mask;
  warp.arrived |= 1u << lane;
  TSAN(char *barrier = &warp.barriers[fiber->warp_barriers++ % 2]; __tsan_release(barrier);)
  if ((warp.arrived & mask) == mask) {
    warp.arrived &= ~mask;
    for (unsigned i = 0; i < 32; i++)
      if (mask >> i & 1 && fibers[base + i].state == Fiber::AT_WARP) {
        if (fibers[base + i].line != line) report_deadlock(rs_block_dim.x);
        fibers[base + i].state = Fiber::READY;
      }
  } else {
    fiber->state = Fiber::AT_WARP;
    yield();
  }
  TSAN(__tsan_acquire(barrier));
}

/* Two sets of slots in turn: nobody writes one before all have read it, since the next exchange waits for all. */
uint64_t rs_emulated_exchange(uint32_t mask, uint64_t value, int lane, const char *file, int line) {
  Fiber *fiber = self();
  auto &slots = warps[fiber->number / 32].slots[fiber->phase ^= 1];
  slots[fiber->number % 32] = value;
  rs_emulated_warp_barrier(mask, file, line);
  if (!(mask >> lane & 1))
    fail("%s: shuffle from lane %d, which takes no part (%s:%d)", running->name.c_str(), lane, file, line);
  return slots[lane];
}

void *rs_emulated_shared(const char *file, int line, size_t bytes) {
  if (bytes == 0) return shared_memory;
  for (auto &known : shared)
    if (known.line == line && known.file == file) return known.memory;
  size_t at = (shared_used + 15) / 16 * 16;
  shared_used = at + bytes;
  if (shared_used - dynamic_bytes > 48 << 10 || shared_used > 227 << 10)
    fail("%s: %zu bytes of shared memory", running->name.c_str(), shared_used);
  poison(&shared_memory[at], bytes);
  shared.push_back({file, line, &shared_memory[at]});
  return &shared_memory[at];
}

/* Round to nearest, ties away, as cvt.rna does. */
uint32_t rs_emulated_tf32(float x) {
  uint32_t bits = __float_as_uint(x);
  if (x != x || fabsf(x) == INFINITY) return bits;
  return (bits + 0x1000u) & 0xffffe000u;
}

/* Fragments by PTX's table for mma.m16n8k8 .tf32, with g = lane / 4 and t = lane % 4:
 * a: (g, t) (g + 8, t) (g, t + 4) (g + 8, t + 4); b: (t, g) (t + 4, g); d: (g, 2t) (g, 2t + 1) (g + 8, 2t) (g + 8, 2t +
 * 1). The hardware reads the top 19 bits of an operand. */
void rs_emulated_mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  Fiber *fiber = self();
  unsigned lane = fiber->number % 32, g = lane / 4, t = lane % 4;
  Warp &warp = warps[fiber->number / 32];
  int phase = fiber->phase ^= 1;
  for (int i = 0; i < 4; i++) warp.a[phase][lane][i] = __uint_as_float(a[i] & 0xffffe000u);
  for (int i = 0; i < 2; i++) warp.b[phase][lane][i] = __uint_as_float(b[i] & 0xffffe000u);
  rs_emulated_warp_barrier(~0u, "mma", 0);
  for (int i = 0; i < 4; i++) {
    double sum = d[i];
    for (unsigned k = 0; k < 8; k++)
      sum +=
          (double)warp.a[phase][g * 4 + k % 4][i / 2 + k / 4 * 2] * warp.b[phase][(2 * t + i % 2) * 4 + k % 4][k / 4];
    d[i] = (float)sum;
  }
}
}
