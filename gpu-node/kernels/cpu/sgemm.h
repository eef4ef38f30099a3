/* The built-in sgemm, for machines without OpenBLAS and for shapes at which it is faster. */
#ifndef RANKSCOPE_SGEMM_H
#define RANKSCOPE_SGEMM_H

#include <stdint.h>

#include "../rankscope.h"

/*
 * With 512-bit registers it is up to a tenth faster than OpenBLAS 0.3.21; on other processors OpenBLAS's assembly is
 * ahead.
 */
#if defined(__AVX512F__)
#define RS_BUILTIN_FIRST 1
#else
#define RS_BUILTIN_FIRST 0
#endif

/*
 * scale left op(right): left is m x rank; right is rank x n or, transposed, n x rank. All row-major and without gaps.
 */
typedef struct {
  const float *left, *right;
  int64_t rank;
  int transposed;
  float scale;
} LowRank;

/*
 * C = alpha op(A) op(B) + beta C, row-major; the calling thread's team shares the rows of C. `low_rank`, where it is not
 * NULL, is added to C as well.
 */
RS_API void rs_builtin_sgemm(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
                             const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                             int64_t ldc, const LowRank *low_rank);

#endif
