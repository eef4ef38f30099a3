/* Matrix products by cuBLAS, and what is made of them alone. */
#include "device.h"

#include <limits.h>

/* Row-major C = A B is column-major C^T = B^T A^T. */
static int gemm(int ta, int tb, int64_t m, int64_t n, int64_t k, float alpha, const void *a, int64_t lda, const void *b,
                int64_t ldb, float beta, float *c, int64_t ldc, int64_t batch, int64_t stride_a, int64_t stride_b,
                int64_t stride_c, int type, int compute) {
  return rs_check_blas(cublas.cublasGemmStridedBatchedEx(
                           blas, tb ? CUBLAS_OP_T : CUBLAS_OP_N, ta ? CUBLAS_OP_T : CUBLAS_OP_N, (int)n, (int)m, (int)k,
                           &alpha, b, type, (int)ldb, stride_b, a, type, (int)lda, stride_a, &beta, c, CUDA_R_32F,
                           (int)ldc, stride_c, (int)batch, compute, CUBLAS_GEMM_DEFAULT),
                       "product");
}

int rs_gemm(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
            const float *b, int64_t ldb, float beta, float *c, int64_t ldc, int64_t batch, int64_t stride_a,
            int64_t stride_b, int64_t stride_c) {
  int64_t largest = rs_max(rs_max(rs_max(m, n), rs_max(k, batch)), rs_max(lda, rs_max(ldb, ldc)));
  if (m < 0 || n < 0 || k < 0 || batch < 0 || largest > INT_MAX)
    return rs_fail(RS_BAD_ARGUMENT, "gemm of %lld x %lld x %lld, batch %lld", (long long)m, (long long)n, (long long)k,
                   (long long)batch);
  if (m == 0 || n == 0 || batch == 0) return RS_OK;
  if (products == RS_BFLOAT16 && k > 0) {
    /* Operands in bfloat16, sums in float32. Frozen weights should keep their copy; here both are made anew. */
    int64_t count_a = (batch - 1) * stride_a + ((transpose_a ? k : m) - 1) * lda + (transpose_a ? m : k);
    int64_t count_b = (batch - 1) * stride_b + ((transpose_b ? n : k) - 1) * ldb + (transpose_b ? k : n);
    uint16_t *narrow = rs_scratch(4, (count_a + count_b + 128) * 2);
    if (!narrow) return RS_OUT_OF_MEMORY;
    uint16_t *narrow_b = narrow + (count_a + 127) / 128 * 128;
    TRY(LAUNCH_EACH(pack_bfloat16, count_a, .out = narrow, .x = a, .count = count_a));
    TRY(LAUNCH_EACH(pack_bfloat16, count_b, .out = narrow_b, .x = b, .count = count_b));
    return gemm(transpose_a, transpose_b, m, n, k, alpha, narrow, lda, narrow_b, ldb, beta, c, ldc, batch, stride_a,
                stride_b, stride_c, CUDA_R_16BF, CUBLAS_COMPUTE_32F);
  }
  return gemm(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, batch, stride_a, stride_b,
              stride_c, CUDA_R_32F, products == RS_TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F);
}

int rs_gemm_low_rank(int transposed, int64_t m, int64_t n, int64_t k, const float *a, const float *b, float beta,
                     float *c, int64_t rank, float scale, const float *left, const float *right) {
  TRY(rs_gemm(0, transposed, m, n, k, 1, a, k, b, transposed ? k : n, beta, c, n, 1, 0, 0, 0));
  return rs_gemm(0, transposed, m, n, rank, scale, left, rank, right, transposed ? rank : n, 1, c, n, 1, 0, 0, 0);
}

/* Four products for all devices at once. */
int rs_adapter_gradients(float *da, float *db, float *u, const float *x, const float *dy, const float *a,
                         const float *b, int64_t devices, int64_t rows, int64_t m, int64_t n, int64_t rank,
                         float scale) {
  if (devices < 1 || rows % devices != 0)
    return rs_fail(RS_BAD_ARGUMENT, "%lld rows for %lld devices", (long long)rows, (long long)devices);
  int64_t share = rows / devices;
  float *scratch = rs_scratch(1, rs_max(1, 2 * rows * rank) * 4);
  if (!scratch) return RS_OUT_OF_MEMORY;
  float *t = scratch + rows * rank;
  if (!u) u = scratch;
  TRY(rs_gemm(0, 1, share, rank, n, scale, dy, n, b, n, 0, u, rank, devices, share * n, rank * n, share * rank));
  TRY(rs_gemm(0, 0, share, rank, m, 1, x, m, a, rank, 0, t, rank, devices, share * m, m * rank, share * rank));
  TRY(rs_gemm(1, 0, m, rank, share, 1, x, m, u, rank, 0, da, rank, devices, share * m, share * rank, m * rank));
  return rs_gemm(1, 0, rank, n, share, scale, t, rank, dy, n, 0, db, n, devices, share * rank, share * n, rank * n);
}

int rs_hd_pissa_apply(float *w, const float *a, const float *b, const float *da, const float *db, float *scratch,
                      int64_t devices, int64_t m, int64_t n, int64_t rank, float factor, int second_order) {
  int64_t inner = devices * rank;
  float *left = scratch, *right = scratch + m * 2 * inner;
  HdPissaPack pack = {.left = left,
                      .right = right,
                      .a = a,
                      .b = b,
                      .da = da,
                      .db = db,
                      .devices = devices,
                      .m = m,
                      .n = n,
                      .rank = rank,
                      .add = second_order ? 1.0f : 0.0f};
  TRY(rs_launch(KERNEL_hd_pissa_left, rs_blocks(m * inner), 1, 1, RS_BLOCK, 0, &pack));
  TRY(rs_launch(KERNEL_hd_pissa_right, rs_blocks(2 * inner * n), 1, 1, RS_BLOCK, 0, &pack));
  return rs_gemm(0, 0, m, n, 2 * inner, factor, left, 2 * inner, right, n, 1, w, n, 1, 0, 0, 0);
}
