/* What low-rank adapters are made of: products, and the packing of HD-PiSSA's update. */
#include "device.h"

int rs_gemm_low_rank(int transposed, int64_t m, int64_t n, int64_t k, const float *a, const float *b, float beta,
                     float *c, int64_t rank, float scale, const float *left, const float *right) {
  TRY(rs_gemm(0, transposed, m, n, k, 1, a, k, b, transposed ? k : n, beta, c, n, 1, 0, 0, 0));
  return rs_gemm(0, transposed, m, n, rank, scale, left, rank, right, transposed ? rank : n, 1, c, n, 1, 0, 0, 0);
}

/* Four products for all devices at once. */
static int gradients(float *da, float *db, float *u, float *t, const float *x, const float *dy, const float *a,
                     const float *b, int64_t devices, int64_t share, int64_t m, int64_t n, int64_t rank, float scale) {
  TRY(rs_gemm(0, 1, share, rank, n, scale, dy, n, b, n, 0, u, rank, devices, share * n, rank * n, share * rank));
  TRY(rs_gemm(0, 0, share, rank, m, 1, x, m, a, rank, 0, t, rank, devices, share * m, m * rank, share * rank));
  TRY(rs_gemm(1, 0, m, rank, share, 1, x, m, u, rank, 0, da, rank, devices, share * m, share * rank, m * rank));
  return rs_gemm(1, 0, rank, n, share, scale, t, rank, dy, n, 0, db, n, devices, share * rank, share * n, rank * n);
}

int rs_adapter_gradients(float *da, float *db, float *u, const float *x, const float *dy, const float *a,
                         const float *b, int64_t devices, int64_t rows, int64_t m, int64_t n, int64_t rank,
                         float scale) {
  if (devices < 1 || rows % devices != 0)
    return rs_fail(RS_BAD_ARGUMENT, "%lld rows for %lld devices", (long long)rows, (long long)devices);
  float *scratch = rs_scratch(SCRATCH_ADAPTER, rs_max(1, 2 * rows * rank) * 4);
  if (!scratch) return RS_OUT_OF_MEMORY;
  float *t = scratch + rows * rank;
  if (!u) u = scratch;
  int64_t count_x = rows * m, count_dy = rows * n, share = rows / devices;
  int narrow = operands == RS_BFLOAT16 && rows > 0;
  if (narrow) { /* each is an operand twice */
    uint16_t *copy = rs_scratch(SCRATCH_TWICE, (count_x + 127 + count_dy) * 2);
    if (!copy) return RS_OUT_OF_MEMORY;
    TRY(rs_keep_bfloat16(x, count_x, copy));
    TRY(rs_keep_bfloat16(dy, count_dy, copy + (count_x + 127) / 128 * 128));
  }
  int status = gradients(da, db, u, t, x, dy, a, b, devices, share, m, n, rank, scale);
  if (narrow) {
    rs_forget_bfloat16(x);
    rs_forget_bfloat16(dy);
  }
  return status;
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
