/*
 * A CUDA driver without a GPU: libcuda.so.1's functions as far as host/ uses them, over the kernels compiled by g++.
 *
 * What it finds, beside wrong results:
 *  - the host touching device memory: device addresses carry a tag in the top 16 bits, which only a launch and a
 *    copy take off, so that a dereference faults; a host address inside a kernel's parameters is refused;
 *  - reads and writes outside an allocation or after its release: each lies right against an inaccessible page, and
 *    addresses are never used twice;
 *  - outputs or shared memory nobody wrote: all memory starts as NaN;
 *  - results read too early, staging memory used again too early: work on a stream runs as late as allowed, at
 *    the first synchronisation that needs it;
 *  - barriers and shuffles that not all threads reach, and results that depend on the order of threads or blocks: the
 *    order comes from RS_EMULATE_SEED; built with RS_TSAN, each thread is one of ThreadSanitizer's fibers and
 *    what lacks a barrier in between is reported as a race.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "shim.h"
#if defined(RS_TSAN)
#include <sanitizer/tsan_interface.h>
#define TSAN(...) __VA_ARGS__
constexpr bool WATCHED = true;
#else
#define TSAN(...)
constexpr bool WATCHED = false;
#endif
#define API extern "C" __attribute__((visibility("default")))

namespace {

[[noreturn]] void fail(const char *format, auto... values) {
  fprintf(stderr, "CUDA emulation: ");
  fprintf(stderr, format, values...);
  fprintf(stderr, "\n");
  abort();
}

/* ---- memory ---- */

constexpr uint64_t TAG = 0x5ac3ull << 48, TAG_MASK = 0xffffull << 48, PAGE = 4096, POISON = 0x7fffc5c57fffc5c5ull;
constexpr uint64_t ARENA = 1ull << (WATCHED ? 36 : 42); /* TSan keeps most of the address space for itself */
bool is_device(uint64_t address) { return (address & TAG_MASK) == TAG; }
char *real(uint64_t address) { return (char *)(address & ~TAG_MASK); }

struct Allocation {
  uint64_t bytes, mapped;
};
std::map<uint64_t, Allocation> live; /* by address without tag */
uint64_t arena, next_free, used, total = 8ull << 30;

void poison(void *to, uint64_t bytes) {
  for (uint64_t i = 0; i + 8 <= bytes; i += 8) memcpy((char *)to + i, &POISON, 8);
  if (bytes % 8) memcpy((char *)to + bytes / 8 * 8, &POISON, bytes % 8);
}

/* The bytes between the end of an allocation and the inaccessible page after it: as they were? */
void check_slack(uint64_t start, uint64_t bytes, const char *who) {
  char untouched[256];
  uint64_t end = start + bytes, rest = (end + PAGE - 1) / PAGE * PAGE - end;
  poison(untouched, rest);
  if (memcmp(untouched, (void *)end, rest) != 0)
    fail("%s wrote beyond an allocation of %llu bytes", who, (unsigned long long)bytes);
}

/* Whether all of [address, address + bytes) lies in one allocation. */
bool inside(uint64_t address, uint64_t bytes) {
  auto after = live.upper_bound(address);
  if (after == live.begin()) return false;
  auto &[start, of] = *std::prev(after);
  return address + bytes <= start + of.bytes;
}

/* ---- fibers ---- */

struct Fiber : RsThread {
  void *stack_pointer, *sanitizer;
  enum { READY, AT_BARRIER, AT_WARP, DONE } state;
  const char *file;
  int line, phase, barriers, warp_barriers;
  uint32_t mask;
};
constexpr size_t STACK = 128 << 10;
constexpr unsigned MOST = 1024;
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
struct Kernel {
  std::string name;
  void (*run)(const void *);
  size_t parameters;
};
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

struct Launch {
  const Kernel *kernel;
  dim3 grid, block;
  size_t shared;
  std::vector<char> parameters;
  std::vector<uint64_t> addresses;
};

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
  for (uint64_t address : launch.addresses) {
    auto after = live.upper_bound(address);
    if (after != live.begin())
      check_slack(std::prev(after)->first, std::prev(after)->second.bytes, running->name.c_str());
  }
  running = nullptr;
}

void on_fault(int number, siginfo_t *info, void *) {
  char text[512];
  uint64_t address = (uint64_t)info->si_addr;
  int length;
  if (running) {
    auto after = live.upper_bound(address);
    bool near = after != live.begin() && address - std::prev(after)->first < (1 << 20);
    length =
        snprintf(text, sizeof text, "CUDA emulation: %s, block %u %u %u, thread %u touched %s", running->name.c_str(),
                 rs_block_index.x, rs_block_index.y, rs_block_index.z, rs_thread->number, "");
    length += near ? snprintf(text + length, sizeof text - length, "byte %llu of an allocation of %llu\n",
                              (unsigned long long)(address - std::prev(after)->first),
                              (unsigned long long)std::prev(after)->second.bytes)
                   : snprintf(text + length, sizeof text - length,
                              "%p, which is no device memory (released, or never allocated)\n", info->si_addr);
  } else {
    length = snprintf(text, sizeof text,
                      "CUDA emulation: the host touched device memory (or another bad address, signal %d)\n", number);
  }
  if (write(2, text, length)) {
  }
  signal(number, SIG_DFL);
}

/* ---- streams: work runs as late as allowed ---- */

struct Event {
  uint64_t recorded = 0, done = 0, asked = 0;
  struct Stream *stream = nullptr;
};
struct Stream {
  std::deque<std::function<void()>> work;
  bool running = false;
  void finish() {
    while (!work.empty()) {
      auto next = std::move(work.front());
      work.pop_front();
      next();
    }
  }
};
std::vector<Stream *> streams;
bool eager;
void enqueue(void *stream, std::function<void()> work) {
  if (!stream) fail("work on the default stream, which waits for all others");
  ((Stream *)stream)->work.push_back(std::move(work));
  if (eager) ((Stream *)stream)->finish();
}
void finish_all() {
  for (auto *stream : streams) stream->finish();
}

std::map<uint64_t, uint64_t> pinned;
bool is_pinned(const void *address, uint64_t bytes) {
  auto after = pinned.upper_bound((uint64_t)address);
  return after != pinned.begin() && (uint64_t)address + bytes <= std::prev(after)->first + std::prev(after)->second;
}
uint64_t device_range(uint64_t address, uint64_t bytes, const char *what) {
  if (!is_device(address)) fail("%s: %p is no device address", what, (void *)address);
  if (!inside((uint64_t)real(address), bytes))
    fail("%s: %llu bytes do not fit the allocation", what, (unsigned long long)bytes);
  return (uint64_t)real(address);
}
}  // namespace

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

/* ---- the driver's functions ---- */

enum {
  OK = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NO_DEVICE = 100,
  INVALID_CONTEXT = 201,
  NOT_FOUND = 500,
  NOT_READY = 600
};

API int cuInit(unsigned) {
  if (stacks) return OK;
  if (getenv("RS_EMULATE_NO_DEVICE")) return NO_DEVICE;
  if (const char *text = getenv("RS_EMULATE_SEED")) seed = random_state = strtoull(text, nullptr, 10);
  if (const char *text = getenv("RS_EMULATE_BYTES")) total = strtoull(text, nullptr, 10);
  eager = getenv("RS_EMULATE_EAGER") != nullptr;
  stacks =
      (char *)mmap(nullptr, MOST * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  all_shared = (char *)mmap(nullptr, SHARED * SHARED_BLOCKS, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  arena = next_free = (uint64_t)mmap(nullptr, ARENA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stacks == MAP_FAILED || all_shared == MAP_FAILED || arena == (uint64_t)MAP_FAILED) fail("no address space");
  TSAN(scheduler_sanitizer = __tsan_get_current_fiber());
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
  return OK;
}
API int cuDriverGetVersion(int *version) {
  *version = 13000;
  return OK;
}
API int cuDeviceGetCount(int *count) {
  *count = 1;
  return OK;
}
API int cuDeviceGet(int *device, int) {
  *device = 0;
  return OK;
}
API int cuDeviceGetName(char *name, int size, int) {
  snprintf(name, size, "emulated GPU");
  return OK;
}
API int cuDeviceGetAttribute(int *value, int attribute, int) {
  const char *major = getenv("RS_EMULATE_MAJOR");
  switch (attribute) {
    case 16: *value = 2; return OK;                       /* multiprocessors */
    case 75: *value = major ? atoi(major) : 9; return OK; /* compute capability */
    case 76: *value = 0; return OK;
    case 97: *value = 227 << 10; return OK; /* shared memory of a block */
    default: return INVALID_VALUE;
  }
}
API int cuDevicePrimaryCtxRetain(void **context, int) {
  *context = (void *)1;
  return OK;
}
static thread_local bool bound; /* whether this thread has a context */
API int cuCtxSetCurrent(void *) {
  bound = true;
  return OK;
}
API int cuCtxSynchronize() {
  finish_all();
  return OK;
}
API int cuMemGetInfo_v2(size_t *free, size_t *all) {
  *free = total - used;
  *all = total;
  return OK;
}

API int cuMemAlloc_v2(uint64_t *address, size_t bytes) {
  if (!bound) return INVALID_CONTEXT;
  if (bytes == 0) return INVALID_VALUE;
  if (used + bytes > total) return OUT_OF_MEMORY;
  uint64_t mapped = (bytes + PAGE - 1) / PAGE * PAGE, at = next_free + PAGE;
  next_free = at + mapped;
  if (next_free + PAGE > arena + ARENA) fail("address space used up");
  mmap((void *)at, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  uint64_t start = at + (mapped - bytes) / 256 * 256; /* as near to the end as cuMemAlloc's alignment allows */
  poison((void *)start, bytes);
  poison((void *)(start + bytes), at + mapped - start - bytes);
  live[start] = {bytes, mapped};
  used += bytes;
  *address = start | TAG;
  return OK;
}
API int cuMemFree_v2(uint64_t address) {
  finish_all();
  auto found = live.find((uint64_t)real(address));
  if (!is_device(address) || found == live.end()) fail("release of %p, which is not allocated", (void *)address);
  auto [start, of] = *found;
  check_slack(start, of.bytes, "something");
  mmap((void *)(start / PAGE * PAGE), of.mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
       0);
  used -= of.bytes;
  live.erase(found);
  return OK;
}
API int cuMemHostAlloc(void **memory, size_t bytes, unsigned) {
  *memory = malloc(bytes);
  pinned[(uint64_t)*memory] = bytes;
  return OK;
}
API int cuMemFreeHost(void *memory) {
  finish_all();
  pinned.erase((uint64_t)memory);
  free(memory);
  return OK;
}

API int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *stream) {
  device_range(to, bytes, "copy to the device");
  if (is_pinned(from, bytes)) {
    enqueue(stream, [=] { memcpy((void *)device_range(to, bytes, "copy to the device"), from, bytes); });
  } else { /* pageable memory has been read when the call returns */
    enqueue(stream, [to, bytes, copy = std::string((const char *)from, bytes)] {
      memcpy((void *)device_range(to, bytes, "copy to the device"), copy.data(), bytes);
    });
  }
  return OK;
}
API int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *stream) {
  device_range(from, bytes, "copy to the host");
  enqueue(stream, [=] { memcpy(to, (void *)device_range(from, bytes, "copy to the host"), bytes); });
  if (!is_pinned(to, bytes)) ((Stream *)stream)->finish();
  return OK;
}
API int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void *stream) {
  device_range(to, bytes, "copy");
  enqueue(stream,
          [=] { memmove((void *)device_range(to, bytes, "copy"), (void *)device_range(from, bytes, "copy"), bytes); });
  return OK;
}

API int cuStreamCreate(void **stream, unsigned) {
  streams.push_back(new Stream);
  *stream = streams.back();
  return OK;
}
API int cuStreamSynchronize(void *stream) {
  ((Stream *)stream)->finish();
  return OK;
}
API int cuStreamWaitEvent(void *stream, void *event, unsigned) {
  Event *of = (Event *)event;
  enqueue(stream, [of, wanted = of->recorded] {
    if (of->stream && of->done < wanted) of->stream->finish();
  });
  return OK;
}
API int cuEventCreate(void **event, unsigned) {
  *event = new Event;
  return OK;
}
API int cuEventRecord(void *event, void *stream) {
  Event *of = (Event *)event;
  of->stream = (Stream *)stream;
  enqueue(stream, [of, number = ++of->recorded] { of->done = number; });
  return OK;
}
/* Not ready when first asked; then it gets there, so that whoever polls comes to an end. */
API int cuEventQuery(void *event) {
  Event *of = (Event *)event;
  if (of->done < of->recorded && of->asked++ && of->stream) of->stream->finish();
  if (of->done < of->recorded) return NOT_READY;
  of->asked = 0;
  return OK;
}
API int cuEventSynchronize(void *event) {
  Event *of = (Event *)event;
  if (of->stream && of->done < of->recorded) of->stream->finish();
  return OK;
}
API int cuEventElapsedTime(float *ms, void *, void *) {
  *ms = 1;
  return OK;
}

API int cuModuleLoadData(void **module, const void *) {
  *module = (void *)1;
  return OK;
}
API int cuModuleGetFunction(void **function, void *, const char *name) {
  auto found = kernels().find(name);
  if (found == kernels().end()) return NOT_FOUND;
  *function = &found->second;
  return OK;
}
API int cuFuncSetAttribute(void *, int attribute, int value) {
  return attribute == 8 && value <= 227 << 10 ? OK : INVALID_VALUE;
}
API int cuGetErrorName(int status, const char **text) {
  *text = status == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY"
          : status == NOT_FOUND   ? "CUDA_ERROR_NOT_FOUND"
          : status == NO_DEVICE   ? "CUDA_ERROR_NO_DEVICE"
                                  : "CUDA_ERROR_INVALID_VALUE";
  return OK;
}

API int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                       unsigned dynamic, void *stream, void **parameters, void **) {
  const Kernel *kernel = (const Kernel *)function;
  if (!bound) return INVALID_CONTEXT;
  if (gx < 1 || gy < 1 || gz < 1 || gx > 0x7fffffff || gy > 65535 || gz > 65535 || bx * by * bz < 1 ||
      bx * by * bz > MOST || dynamic > 227 << 10)
    return INVALID_VALUE;
  Launch launch = {kernel, {gx, gy, gz}, {bx, by, bz}, dynamic, {}, {}};
  launch.parameters.resize(kernel->parameters);
  memcpy(launch.parameters.data(), parameters[0], kernel->parameters);
  for (size_t at = 0; at + 8 <= kernel->parameters; at += 8) {
    uint64_t word;
    memcpy(&word, &launch.parameters[at], 8);
    if (!is_device(word) && word >> 44 && word >> 47 == 0)
      fail("%s: byte %zu of its parameters is a host address", kernel->name.c_str(), at);
    if (is_device(word)) launch.addresses.push_back(word = (uint64_t)real(word));
    memcpy(&launch.parameters[at], &word, 8);
  }
  enqueue(stream, [launch] { run(launch); });
  return OK;
}

/* For the stand-ins of cuBLAS and cuSOLVER: the real address behind a device address, and work on a stream. */
API void *rs_emulated_real(const void *address, uint64_t bytes) {
  return (void *)device_range((uint64_t)address, bytes, "library call");
}
API void rs_emulated_enqueue(void *stream, std::function<void()> work) { enqueue(stream, std::move(work)); }
