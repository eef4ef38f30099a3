/* Matrix products by the built-in sgemm or OpenBLAS, whichever is faster for the shape; single and batched. */
#include <limits.h>

#include "common.h"
#include "sgemm.h"

#if defined(RS_OPENBLAS)
#include <cblas.h>
#endif

/* A batch of matrices with less work than this each (multiply-adds) is shared out by matrix, not by rows. */
#define SMALL_PRODUCT 2000000

/* Whether the built-in sgemm is faster for a C of so many rows: copying B has to be worth while. */
static int is_for_builtin(int64_t rows) {
#if defined(RS_OPENBLAS)
  return rows >= 64 && rs_builtin_is_first();
#else
  (void)rows;
  return 1;
#endif
}

int rs_sgemm(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
             int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
  if (is_for_builtin(m))
    return rs_builtin_sgemm(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, NULL);
#if defined(RS_OPENBLAS)
  cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans,
              (int)m, (int)n, (int)k, alpha, a, (int)lda, b, (int)ldb, beta, c, (int)ldc);
#endif
  return RS_OK;
}

int rs_team_failed(int status) {
  return status == RS_OK ? RS_OK : rs_fail(status, "a product inside a kernel has no memory to pack its operands");
}

/* From this rank on two products are as good: the panels of the second would push those of the first out of the cache. */
#define LARGEST_FUSED_RANK 256

int rs_gemm_low_rank(int transposed, int64_t m, int64_t n, int64_t k, const float *a, const float *b, float beta,
                     float *c, int64_t rank, float scale, const float *left, const float *right) {
  if (m < 0 || n < 0 || k < 0 || rank < 0 || rs_max(rs_max(m, n), rs_max(k, rank)) > INT_MAX)
    return rs_fail(RS_BAD_ARGUMENT, "gemm of %lld x %lld x %lld, rank %lld", (long long)m, (long long)n, (long long)k,
                   (long long)rank);
  int64_t ldb = transposed ? k : n, ldr = transposed ? rank : n;
  if (is_for_builtin(m) && rank <= LARGEST_FUSED_RANK) {
    LowRank low_rank = {left, right, rank, transposed, scale};
    return rs_builtin_sgemm(0, transposed, m, n, k, 1, a, k, b, ldb, beta, c, n, &low_rank);
  }
  int status = rs_sgemm(0, transposed, m, n, k, 1, a, k, b, ldb, beta, c, n);
  if (status != RS_OK) return status;
  return rs_sgemm(0, transposed, m, n, rank, scale, left, rank, right, ldr, 1, c, n);
}

/* An OpenBLAS built on pthreads does not know that it is inside an OpenMP region; one on OpenMP does. */
static void limit_openblas(int threads) {
#if defined(RS_OPENBLAS)
  if (openblas_get_parallel() == 1) openblas_set_num_threads(threads);
#else
  (void)threads;
#endif
}

void rs_enter_parallel_gemm(void) { limit_openblas(1); }

void rs_leave_parallel_gemm(void) { limit_openblas(rs_threads()); }

int rs_gemm(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
            int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc, int64_t batch,
            int64_t stride_a, int64_t stride_b, int64_t stride_c) {
  if (m < 0 || n < 0 || k < 0 || batch < 0 || rs_max(rs_max(m, n), rs_max(k, rs_max(lda, rs_max(ldb, ldc)))) > INT_MAX)
    return rs_fail(RS_BAD_ARGUMENT, "gemm of %lld x %lld x %lld, batch %lld", (long long)m, (long long)n, (long long)k,
                   (long long)batch);
  int threads = rs_threads(), status = RS_OK;
  if (batch >= threads && threads > 1 && m * n * k < SMALL_PRODUCT && m * n * k * batch > SMALL_PRODUCT / 16) {
    rs_enter_parallel_gemm();
#pragma omp parallel for schedule(static) num_threads(threads) reduction(max : status)
    for (int64_t i = 0; i < batch; i++)
      status = (int)rs_max(status, rs_sgemm(transpose_a, transpose_b, m, n, k, alpha, a + i * stride_a, lda,
                                            b + i * stride_b, ldb, beta, c + i * stride_c, ldc));
    rs_leave_parallel_gemm();
    return rs_team_failed(status);
  }
  for (int64_t i = 0; i < batch && status == RS_OK; i++)
    status = rs_sgemm(transpose_a, transpose_b, m, n, k, alpha, a + i * stride_a, lda, b + i * stride_b, ldb, beta,
                      c + i * stride_c, ldc);
  return status;
}
