/*
 * What g++ needs to compile our .cu files: a small CUDA of our own. Every thread of a block is a fiber; a barrier, a
 * vote or a shuffle hands on to the next one (blocks.cpp).
 *
 * On purpose there is no atomicAdd for floats: its sums depend on the order of the threads, and every result must be
 * the same bit for bit from run to run.
 */
#pragma once
#define RS_EMULATED 1
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};
struct float4 {
  float x, y, z, w;
} __attribute__((aligned(16)));
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

struct RsThread;
extern "C" {
extern dim3 rs_grid_dim, rs_block_dim, rs_block_index;
extern RsThread *rs_thread; /* the fiber that runs */
void rs_emulated_barrier(const char *file, int line);
void rs_emulated_warp_barrier(uint32_t mask, const char *file, int line);
uint64_t rs_emulated_exchange(uint32_t mask, uint64_t value, int lane, const char *file, int line);
void *rs_emulated_shared(const char *file, int line, size_t bytes);
void rs_emulated_mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
uint32_t rs_emulated_tf32(float x);
void rs_emulated_register(const char *name, void (*run)(const void *), size_t parameters, const uint32_t *threads);
}
struct RsThread {
  dim3 index;
  unsigned number;
};

#define threadIdx (rs_thread->index)
#define blockIdx rs_block_index
#define blockDim rs_block_dim
#define gridDim rs_grid_dim
#define __syncthreads() rs_emulated_barrier(__FILE__, __LINE__)
#define __syncwarp(...) rs_emulated_warp_barrier(~0u, __FILE__, __LINE__)
#define __shfl_xor_sync(mask, x, other) rs_shuffle(mask, x, (int)(rs_thread->number % 32 ^ (other)), __FILE__, __LINE__)
#define __shfl_down_sync(mask, x, by) rs_shuffle(mask, x, (int)(rs_thread->number % 32 + (by)), __FILE__, __LINE__)
#define __shfl_sync(mask, x, from) rs_shuffle(mask, x, (int)(from), __FILE__, __LINE__)

template <class T>
static inline T rs_shuffle(uint32_t mask, T x, int lane, const char *file, int line) {
  uint64_t bits = 0;
  memcpy(&bits, &x, sizeof x);
  bits = rs_emulated_exchange(mask, bits, lane < 32 ? lane : (int)(rs_thread->number % 32), file, line);
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* Fibers change hands at barriers only, so a plain read-modify-write is atomic. */
template <class T>
static inline T atomicAdd(T *to, T by) {
  static_assert((T)0.5 == (T)0, "sums of atomics on floats depend on the order of threads");
  T before = *to;
  *to += by;
  return before;
}

static inline uint32_t __float_as_uint(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return bits;
}
static inline float __uint_as_float(uint32_t bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}
/* Rounded on their own: the barrier for the optimiser keeps a multiplication and an addition apart. */
static inline float rs_rounded(float x) {
  asm volatile("" : "+x"(x));
  return x;
}
static inline float __fadd_rn(float a, float b) { return rs_rounded(a + b); }
static inline float __fsub_rn(float a, float b) { return rs_rounded(a - b); }
static inline float __fmul_rn(float a, float b) { return rs_rounded(a * b); }
static inline float __fdiv_rn(float a, float b) { return rs_rounded(a / b); }
static inline float __fsqrt_rn(float x) { return rs_rounded(sqrtf(x)); }
#define __expf(x) expf(x)
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }

/* Enters a kernel in the list by which cuModuleGetFunction finds it. */
#define RS_REGISTER(kernel, type) \
  __attribute__((constructor)) static void rs_register_##kernel() { \
    rs_emulated_register( \
        "rs_k_" #kernel, [](const void *p) { rs_k_##kernel(*(const type *)p); }, sizeof(type), nullptr); \
  }
