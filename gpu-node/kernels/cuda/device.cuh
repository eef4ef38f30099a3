/* What the kernels share inside: indices, reductions in a fixed order, TF32 tiles. */
#ifndef RS_DEVICE_CUH
#define RS_DEVICE_CUH
#include "kernels.h"

#ifdef RS_EMULATED
#define SHARED_ARRAY(type, name, count) \
  type *const name = (type *)rs_emulated_shared(__FILE__, __LINE__, sizeof(type) * (count))
#define DYNAMIC_SHARED(type, name) type *const name = (type *)rs_emulated_shared("", 0, 0)
#else
#define SHARED_ARRAY(type, name, count) __shared__ type name[count]
#define DYNAMIC_SHARED(type, name) \
  extern __shared__ float4 rs_dynamic_shared[]; \
  type *const name = (type *)rs_dynamic_shared
#define RS_REGISTER(name, type)
#endif

/* Defines kernel `name` of kernels.h; p is its parameters. */
#define KERNEL(name, threads) \
  extern "C" __global__ void __launch_bounds__(threads) rs_k_##name(const __grid_constant__ Parameters_##name p); \
  RS_REGISTER(name, Parameters_##name) \
  extern "C" __global__ void __launch_bounds__(threads) rs_k_##name(const __grid_constant__ Parameters_##name p)

/* A loop over all elements by all threads of the grid. */
#define EACH(i, count) \
  for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, i##_step = (int64_t)gridDim.x * blockDim.x; \
       i < (count); i += i##_step)

struct Sum {
  __device__ static float of(float a, float b) { return a + b; }
};
struct Largest {
  __device__ static float of(float a, float b) { return a > b || a != a ? a : b; }
};

/* The value of all threads of a block, the same bits in each; blocks of at most 1024 threads, whole warps. */
template <class Operation>
__device__ float block_reduce(float x, float none) {
  SHARED_ARRAY(float, of_warp, 33);
  for (int lane = 16; lane > 0; lane /= 2) x = Operation::of(x, __shfl_xor_sync(0xffffffffu, x, lane));
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = x;
  __syncthreads();
  if (threadIdx.x < 32) {
    x = threadIdx.x < blockDim.x / 32 ? of_warp[threadIdx.x] : none;
    for (int lane = 16; lane > 0; lane /= 2) x = Operation::of(x, __shfl_xor_sync(0xffffffffu, x, lane));
    if (threadIdx.x == 0) of_warp[32] = x;
  }
  __syncthreads();
  x = of_warp[32];
  __syncthreads();
  return x;
}
__device__ inline float block_sum(float x) { return block_reduce<Sum>(x, 0); }

/* The nearest number of 8 significant bits, ties to even; NaN stays NaN. */
__device__ inline float to_bfloat16(float x) {
  uint32_t bits = __float_as_uint(x);
  if (x != x) return __uint_as_float((bits | 0x00400000u) & 0xffff0000u);
  return __uint_as_float((bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u);
}

__device__ inline uint32_t to_tf32(float x) {
#ifdef RS_EMULATED
  return rs_emulated_tf32(x);
#else
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits;
#endif
}

/* d += a b, one warp: a 16 x 8, b 8 x 8, fragments as mma.m16n8k8 has them. */
__device__ inline void mma_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#ifdef RS_EMULATED
  rs_emulated_mma(d, a, b);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

/* The same with float32 operands; exact ones are split into two TF32 parts each, all but small * small multiplied. */
template <bool EXACT>
__device__ inline void mma(float (&d)[4], const float (&a)[4], const float (&b)[2]) {
  uint32_t a_big[4], b_big[2];
#pragma unroll
  for (int i = 0; i < 4; i++) a_big[i] = to_tf32(a[i]);
#pragma unroll
  for (int i = 0; i < 2; i++) b_big[i] = to_tf32(b[i]);
  if (EXACT) {
    uint32_t a_small[4], b_small[2];
#pragma unroll
    for (int i = 0; i < 4; i++) a_small[i] = to_tf32(a[i] - __uint_as_float(a_big[i]));
#pragma unroll
    for (int i = 0; i < 2; i++) b_small[i] = to_tf32(b[i] - __uint_as_float(b_big[i]));
    mma_tf32(d, a_small, b_big);
    mma_tf32(d, a_big, b_small);
  }
  mma_tf32(d, a_big, b_big);
}
#endif
