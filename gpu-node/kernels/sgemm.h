/* The built-in sgemm, for machines with a compiler and no OpenBLAS. */
#ifndef RANKSCOPE_SGEMM_H
#define RANKSCOPE_SGEMM_H

#include <stdint.h>

#include "rankscope.h"

/* C = alpha op(A) op(B) + beta C, row-major; the calling thread's team shares the rows of C. */
RS_API void rs_builtin_sgemm(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
                             const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                             int64_t ldc);

#endif
