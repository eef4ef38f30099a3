/* The built-in sgemm, for machines without OpenBLAS and for shapes at which it is faster. */
#ifndef RANKSCOPE_SGEMM_H
#define RANKSCOPE_SGEMM_H

#include <stdint.h>

#include "../rankscope.h"

/*
 * What multiplies until rs_choose_sgemm() is called: with 512-bit registers the built-in sgemm, elsewhere OpenBLAS's
 * assembly. Which is faster depends on the processor, so the set-up measures it (gpu-node/src/native-libraries/tune-products.ts).
 */
#if defined(__AVX512F__)
#define RS_BUILTIN_FIRST 1
#else
#define RS_BUILTIN_FIRST 0
#endif

/*
 * From now on, on all threads: the built-in sgemm with blocks of this depth and these rows (0: those of before), or, with
 * `builtin` 0, OpenBLAS. To be called before the first product. RS_BAD_ARGUMENT where there is no OpenBLAS, or a block is
 * not within 16 to 4096.
 */
RS_API int rs_choose_sgemm(int builtin, int64_t block_depth, int64_t block_rows);

/* What rs_choose_sgemm() chose, or what holds without it. */
int rs_builtin_is_first(void);

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
 * NULL, is added to C as well. Without memory for its panels it fails before C is touched.
 */
RS_API int rs_builtin_sgemm(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
                            const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                            int64_t ldc, const LowRank *low_rank);

#endif
