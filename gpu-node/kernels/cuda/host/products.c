/* Matrix products by cuBLAS: in which precision operands are handed to it (rs_set_products, rs_set_operands). */
#include "device.h"

#include <limits.h>

/* What the parts of split operands take at most, unless a few columns take more. */
#ifndef SPLIT_BYTES
#define SPLIT_BYTES ((int64_t)64 << 20)
#endif

/* alpha op(A) op(B) + beta C, a batch; sizes are those of rs_gemm. */
typedef struct {
  int ta, tb;
  int64_t m, n, k, batch, lda, ldb, ldc, stride_a, stride_b, stride_c;
  float alpha, beta;
  float *c;
} Product;

/* Row-major C = A B is column-major C^T = B^T A^T. */
static int multiply(const Product *p, const void *a, const void *b, int type, int compute) {
  return rs_check_blas(
      cublas.cublasGemmStridedBatchedEx(blas, p->tb ? CUBLAS_OP_T : CUBLAS_OP_N, p->ta ? CUBLAS_OP_T : CUBLAS_OP_N,
                                        (int)p->n, (int)p->m, (int)p->k, &p->alpha, b, type, (int)p->ldb, p->stride_b, a,
                                        type, (int)p->lda, p->stride_a, &p->beta, p->c, CUDA_R_32F, (int)p->ldc,
                                        p->stride_c, (int)p->batch, compute, CUBLAS_GEMM_DEFAULT),
      "product");
}

/* Elements from the first to the last of a stored operand [rows, columns]. */
static int64_t extent(int64_t rows, int64_t columns, int64_t ld, int64_t stride, int64_t batch) {
  return (batch - 1) * stride + (rows - 1) * ld + columns;
}
static int64_t extent_a(const Product *p) {
  return extent(p->ta ? p->k : p->m, p->ta ? p->m : p->k, p->lda, p->stride_a, p->batch);
}
static int64_t extent_b(const Product *p) {
  return extent(p->tb ? p->n : p->k, p->tb ? p->k : p->n, p->ldb, p->stride_b, p->batch);
}

/* Operands in bfloat16: a copy that is kept for it (narrow.c), or one made for this product. */
static int multiply_bfloat16(const Product *p, const float *a, const float *b) {
  int64_t count_a = extent_a(p), count_b = extent_b(p), room_a = (count_a + 127) / 128 * 128;
  const uint16_t *narrow_a = rs_kept_bfloat16(a, count_a), *narrow_b = rs_kept_bfloat16(b, count_b);
  if (!narrow_a || !narrow_b) {
    uint16_t *made = rs_scratch(SCRATCH_NARROW, ((narrow_a ? 0 : room_a) + (narrow_b ? 0 : count_b)) * 2);
    if (!made) return RS_OUT_OF_MEMORY;
    if (!narrow_a) {
      TRY(LAUNCH_EACH(pack_bfloat16, count_a, .out = made, .x = a, .count = count_a));
      narrow_a = made;
      made += room_a;
    }
    if (!narrow_b) {
      TRY(LAUNCH_EACH(pack_bfloat16, count_b, .out = made, .x = b, .count = count_b));
      narrow_b = made;
    }
  }
  return multiply(p, narrow_a, narrow_b, CUDA_R_16BF, CUBLAS_COMPUTE_32F);
}

/* The float32 product by TF32: both operands in two parts, side by side in one product, some columns of it at a time. */
static int multiply_split(const Product *whole, const float *a, const float *b) {
  const Product *w = whole;
  int64_t batch_a = w->stride_a == 0 ? 1 : w->batch, batch_b = w->stride_b == 0 ? 1 : w->batch;
  int64_t each = 12 * (w->m * batch_a + w->n * batch_b), at_once = rs_max(64, SPLIT_BYTES / each / 64 * 64);
  at_once = rs_min(at_once, w->k);
  float *left = rs_scratch(SCRATCH_SPLIT, each * at_once);
  if (!left) return RS_OUT_OF_MEMORY;
  float *right = left + 3 * w->m * at_once * batch_a;
  for (int64_t start = 0; start < w->k; start += at_once) {
    Product p = *w;
    int64_t k = rs_min(at_once, w->k - start);
    Split of_a = {.out = left, .x = a + start * (w->ta ? w->lda : 1), .rows = w->ta ? k : w->m,
                  .columns = w->ta ? w->m : k, .ld = w->lda, .stride = w->stride_a, .batch = batch_a,
                  .down = w->ta, .small = 1};
    Split of_b = {.out = right, .x = b + start * (w->tb ? 1 : w->ldb), .rows = w->tb ? w->n : k,
                  .columns = w->tb ? k : w->n, .ld = w->ldb, .stride = w->stride_b, .batch = batch_b,
                  .down = !w->tb, .small = 2};
    TRY(rs_launch(KERNEL_split_tf32, rs_blocks(w->m * k * batch_a), 1, 1, RS_BLOCK, 0, &of_a));
    TRY(rs_launch(KERNEL_split_tf32, rs_blocks(w->n * k * batch_b), 1, 1, RS_BLOCK, 0, &of_b));
    p.k = 3 * k;
    p.lda = w->ta ? w->m : 3 * k;
    p.ldb = w->tb ? 3 * k : w->n;
    p.stride_a = w->stride_a == 0 ? 0 : 3 * w->m * k;
    p.stride_b = w->stride_b == 0 ? 0 : 3 * w->n * k;
    p.beta = start == 0 ? w->beta : 1;
    TRY(multiply(&p, left, right, CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32));
  }
  return RS_OK;
}

int rs_gemm(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
            const float *b, int64_t ldb, float beta, float *c, int64_t ldc, int64_t batch, int64_t stride_a,
            int64_t stride_b, int64_t stride_c) {
  int64_t largest = rs_max(rs_max(rs_max(m, n), rs_max(k, batch)), rs_max(lda, rs_max(ldb, ldc)));
  if (m < 0 || n < 0 || k < 0 || batch < 0 || largest > INT_MAX)
    return rs_fail(RS_BAD_ARGUMENT, "gemm of %lld x %lld x %lld, batch %lld", (long long)m, (long long)n, (long long)k,
                   (long long)batch);
  if (m == 0 || n == 0 || batch == 0) return RS_OK;
  Product p = {.ta = transpose_a, .tb = transpose_b, .m = m, .n = n, .k = k, .batch = batch, .lda = lda, .ldb = ldb,
               .ldc = ldc, .stride_a = stride_a, .stride_b = stride_b, .stride_c = stride_c, .alpha = alpha,
               .beta = beta, .c = c};
  if (k > 0 && operands == RS_BFLOAT16) return multiply_bfloat16(&p, a, b);
  if (k > 0 && products == RS_3XTF32) return multiply_split(&p, a, b);
  return multiply(&p, a, b, CUDA_R_32F, products == RS_TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F);
}

/*
 * C = op(A) B + beta C without gaps, op(A) [m, k]. Where operands are bfloat16, B is one and A stays a float32 all the
 * same: three bfloat16 hold one exactly, each of which B is multiplied by.
 */
int rs_gemm_left_float32(int transpose_a, int64_t m, int64_t n, int64_t k, const float *a, const float *b, float beta,
                         float *c) {
  if (operands != RS_BFLOAT16 || m == 0 || n == 0 || k == 0)
    return rs_gemm(transpose_a, 0, m, n, k, 1, a, transpose_a ? m : k, b, n, beta, c, n, 1, 0, 0, 0);
  int64_t room = (m * k + 127) / 128 * 128;
  const uint16_t *narrow = rs_kept_bfloat16(b, k * n);
  uint16_t *part = rs_scratch(SCRATCH_NARROW, (room + (narrow ? 0 : k * n)) * 2);
  if (!part) return RS_OUT_OF_MEMORY;
  if (!narrow) {
    TRY(LAUNCH_EACH(pack_bfloat16, k * n, .out = part + room, .x = b, .count = k * n));
    narrow = part + room;
  }
  Product p = {.ta = transpose_a, .m = m, .n = n, .k = k, .batch = 1, .lda = transpose_a ? m : k, .ldb = n, .ldc = n,
               .alpha = 1, .beta = beta, .c = c};
  for (int number = 2; number >= 0; number--) { /* the smallest first */
    TRY(LAUNCH_EACH(pack_bfloat16, m * k, .out = part, .x = a, .count = m * k, .part = number));
    TRY(multiply(&p, part, narrow, CUDA_R_16BF, CUBLAS_COMPUTE_32F));
    p.beta = 1;
  }
  return RS_OK;
}
