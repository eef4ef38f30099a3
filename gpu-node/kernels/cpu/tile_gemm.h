/* Products of small matrices as they lie, without copying operands first; see tile_gemm.c. */
#ifndef RANKSCOPE_TILE_GEMM_H
#define RANKSCOPE_TILE_GEMM_H

#include <stdint.h>

/*
 * c[m, n] = alpha a b (+ c with `add`): a's element (i, p) is a[i * a_row + p * a_depth], so that a may be transposed; b
 * is row-major [k, n]. On the calling thread alone. b should fit the second-level cache.
 */
void rs_tile_gemm(int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t a_row, int64_t a_depth,
                  const float *b, int64_t ldb, int add, float *c, int64_t ldc);

#endif
