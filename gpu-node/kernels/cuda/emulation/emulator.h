/* What the parts of the emulated driver share: its memory (memory.cpp) and its launches (blocks.cpp); driver.cpp is the rest. */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <functional>
#include <string>
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

[[noreturn]] void fail(const char *format, auto... values) {
  fprintf(stderr, "CUDA emulation: ");
  fprintf(stderr, format, values...);
  fprintf(stderr, "\n");
  abort();
}

/* ---- memory.cpp ---- */

/* Device addresses carry a tag in the top 16 bits. */
constexpr uint64_t TAG = 0x5ac3ull << 48, TAG_MASK = 0xffffull << 48;
inline bool is_device(uint64_t address) { return (address & TAG_MASK) == TAG; }
inline char *real(uint64_t address) { return (char *)(address & ~TAG_MASK); }

void start_memory(uint64_t total_bytes);
/* 0 where there is not as much left. */
uint64_t allocate(uint64_t bytes);
void release(uint64_t address);
uint64_t free_bytes();
uint64_t total_bytes();
/* NaN everywhere, which nobody wrote. */
void poison(void *to, uint64_t bytes);
/* The allocation that holds the address, or lies before it; false where there is none. */
bool allocation_at(uint64_t address, uint64_t *start, uint64_t *bytes);
/* The bytes between the end of the address's allocation and the inaccessible page after it: as they were? */
void check_end(uint64_t address, const char *who);
/* The address without its tag; fails where the bytes do not lie in one allocation. */
uint64_t device_range(uint64_t address, uint64_t bytes, const char *what);
void *allocate_pinned(uint64_t bytes);
void release_pinned(void *memory);
bool is_pinned(const void *address, uint64_t bytes);

/* ---- blocks.cpp ---- */

struct Kernel {
  std::string name;
  void (*run)(const void *);
  size_t parameters;
};
struct Launch {
  const Kernel *kernel;
  dim3 grid, block;
  size_t shared;
  std::vector<char> parameters;
  std::vector<uint64_t> addresses;
};
constexpr unsigned MOST = 1024; /* threads of a block */
/* The order of threads and blocks comes from the seed. */
void start_blocks(uint64_t seed);
const Kernel *find_kernel(const char *name);
void run(const Launch &launch);
/* The kernel under way and where it is, for who hears of a fault; empty where none is. */
std::string where_kernel_is();
