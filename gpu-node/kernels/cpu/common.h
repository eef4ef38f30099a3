/* What the kernels share inside: the error text, when to use threads, and a vectorisable exponential. */
#ifndef RANKSCOPE_COMMON_H
#define RANKSCOPE_COMMON_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(_OPENMP)
#include <omp.h>
#endif

#include "../rankscope.h"

/* Sets the text of rs_last_error() (printf style) and returns `status`. */
int rs_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Threads that rs_set_threads() gave this thread. */
int rs_threads(void);

/* Elements below which a loop that only streams memory is faster on one thread than the fork is long. */
#define RS_STREAM_GRAIN 65536
/* The same for loops with an exponential or a square root per element. */
#define RS_MATH_GRAIN 16384

/* Threads for a loop over `count` elements. */
static inline int rs_team(int64_t count, int64_t grain) { return count >= grain ? rs_threads() : 1; }

/* Thread number and size of the team inside a parallel region; 0 of 1 without OpenMP. */
static inline int rs_thread_number(void) {
#if defined(_OPENMP)
  return omp_get_thread_num();
#else
  return 0;
#endif
}

static inline int64_t rs_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t rs_max(int64_t a, int64_t b) { return a > b ? a : b; }

/* Scratch memory inside a kernel: 64-byte aligned, kept by the calling thread for its next kernels. */
float *rs_scratch(int64_t count);
void rs_scratch_free(float *block);

/*
 * One matrix product; the calling thread's team computes it, alone inside a parallel region. RS_OUT_OF_MEMORY where it has
 * no room to work in: C is as it was then. The text of an error that came up on another thread of a team stays there: use
 * rs_team_failed().
 */
int rs_sgemm(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
             int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

/* Status of a team of threads whose products gave at most `status`, with a text on the calling thread. */
int rs_team_failed(int status);

/* Around a parallel region whose threads call rs_sgemm(): an OpenBLAS with threads of its own must use one each. */
void rs_enter_parallel_gemm(void);
void rs_leave_parallel_gemm(void);

/* The nearest number of 8 significant bits, ties to even; NaN stays NaN, made quiet. */
static inline float rs_bfloat16(float x) {
  union {
    uint32_t bits;
    float value;
  } word = {.value = x};
  uint32_t rounded = word.bits + 0x7fffu + ((word.bits >> 16) & 1u), quiet = word.bits | 0x00400000u;
  word.bits = ((word.bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded) & 0xffff0000u;
  return word.value;
}

/*
 * exp(x) within 2 ulp by a polynomial of degree 6 on [-ln 2 / 2, ln 2 / 2] (Cephes expf), written so that the
 * compiler vectorises loops over it. Below -87.3 it is 0, above 88.3 it stays at exp(88.3); NaN stays NaN.
 */
static inline float rs_exp(float x) {
  float bounded = x > 88.3f ? 88.3f : x;
  bounded = bounded < -87.3f ? -87.3f : bounded;
  float power = rintf(bounded * 1.44269504088896341f);
  float rest = bounded - power * 0.693359375f;
  rest = rest + power * 2.12194440e-4f;
  float sum = 1.9875691500e-4f;
  sum = sum * rest + 1.3981999507e-3f;
  sum = sum * rest + 8.3334519073e-3f;
  sum = sum * rest + 4.1665795894e-2f;
  sum = sum * rest + 1.6666665459e-1f;
  sum = sum * rest + 5.0000001201e-1f;
  sum = sum * rest * rest + rest + 1.0f;
  union {
    int32_t bits;
    float value;
  } scale;
  scale.bits = ((int32_t)power + 127) << 23;
  float result = sum * scale.value;
  return x < -87.3f ? 0.0f : result;
}

#endif
