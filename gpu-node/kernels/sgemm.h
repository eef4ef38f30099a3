/* The built-in sgemm, for machines without OpenBLAS and for shapes at which it is faster. */
#ifndef RANKSCOPE_SGEMM_H
#define RANKSCOPE_SGEMM_H

#include <stdint.h>

#include "rankscope.h"

/* C = alpha op(A) op(B) + beta C, row-major; the calling thread's team shares the rows of C. */
RS_API void rs_builtin_sgemm(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
                             const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                             int64_t ldc);

/* to[columns, .] = transpose of from[rows, columns], rows a stride apart in both. */
void rs_transpose_block(float *to, int64_t to_stride, const float *from, int64_t from_stride, int64_t rows,
                        int64_t columns);

#endif
