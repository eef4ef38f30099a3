/*
 * Memory of the emulated device: each allocation lies right against an inaccessible page, and addresses are never used
 * twice. Pinned memory of the host is known, since asynchronous copies may be late with it.
 */
#include "emulator.h"

#include <sys/mman.h>

#include <map>

namespace {
constexpr uint64_t PAGE = 4096, POISON = 0x7fffc5c57fffc5c5ull;
constexpr uint64_t ARENA = 1ull << (WATCHED ? 36 : 42); /* TSan keeps most of the address space for itself */
struct Allocation {
  uint64_t bytes, mapped;
};
std::map<uint64_t, Allocation> live; /* by address without tag */
std::map<uint64_t, uint64_t> pinned;
uint64_t arena, next_free, used, total;

/* Whether all of [address, address + bytes) lies in one allocation. */
bool inside(uint64_t address, uint64_t bytes) {
  uint64_t start, size;
  return allocation_at(address, &start, &size) && address + bytes <= start + size;
}
}  // namespace

void start_memory(uint64_t bytes) {
  total = bytes;
  arena = next_free = (uint64_t)mmap(nullptr, ARENA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (arena == (uint64_t)MAP_FAILED) fail("no address space");
}
uint64_t free_bytes() { return total - used; }
uint64_t total_bytes() { return total; }

void poison(void *to, uint64_t bytes) {
  for (uint64_t i = 0; i + 8 <= bytes; i += 8) memcpy((char *)to + i, &POISON, 8);
  if (bytes % 8) memcpy((char *)to + bytes / 8 * 8, &POISON, bytes % 8);
}

uint64_t allocate(uint64_t bytes) {
  if (used + bytes > total) return 0;
  uint64_t mapped = (bytes + PAGE - 1) / PAGE * PAGE, at = next_free + PAGE;
  next_free = at + mapped;
  if (next_free + PAGE > arena + ARENA) fail("address space used up");
  mmap((void *)at, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  uint64_t start = at + (mapped - bytes) / 256 * 256; /* as near to the end as cuMemAlloc's alignment allows */
  poison((void *)start, bytes);
  poison((void *)(start + bytes), at + mapped - start - bytes);
  live[start] = {bytes, mapped};
  used += bytes;
  return start | TAG;
}

void release(uint64_t address) {
  auto found = live.find((uint64_t)real(address));
  if (!is_device(address) || found == live.end()) fail("release of %p, which is not allocated", (void *)address);
  auto [start, of] = *found;
  check_end(start, "something");
  mmap((void *)(start / PAGE * PAGE), of.mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
       0);
  used -= of.bytes;
  live.erase(found);
}

bool allocation_at(uint64_t address, uint64_t *start, uint64_t *bytes) {
  auto after = live.upper_bound(address);
  if (after == live.begin()) return false;
  *start = std::prev(after)->first;
  *bytes = std::prev(after)->second.bytes;
  return true;
}

void check_end(uint64_t address, const char *who) {
  char untouched[256];
  uint64_t start, bytes;
  if (!allocation_at(address, &start, &bytes)) return;
  uint64_t end = start + bytes, rest = (end + PAGE - 1) / PAGE * PAGE - end;
  poison(untouched, rest);
  if (memcmp(untouched, (void *)end, rest) != 0)
    fail("%s wrote beyond an allocation of %llu bytes", who, (unsigned long long)bytes);
}

uint64_t device_range(uint64_t address, uint64_t bytes, const char *what) {
  if (!is_device(address)) fail("%s: %p is no device address", what, (void *)address);
  if (!inside((uint64_t)real(address), bytes))
    fail("%s: %llu bytes do not fit the allocation", what, (unsigned long long)bytes);
  return (uint64_t)real(address);
}

void *allocate_pinned(uint64_t bytes) {
  void *memory = malloc(bytes);
  pinned[(uint64_t)memory] = bytes;
  return memory;
}
void release_pinned(void *memory) {
  pinned.erase((uint64_t)memory);
  free(memory);
}
bool is_pinned(const void *address, uint64_t bytes) {
  auto after = pinned.upper_bound((uint64_t)address);
  return after != pinned.begin() && (uint64_t)address + bytes <= std::prev(after)->first + std::prev(after)->second;
}
