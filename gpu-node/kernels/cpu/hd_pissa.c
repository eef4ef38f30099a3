/*
 * The direct update of HD-PiSSA (arXiv 2505.18777): w += factor * sum_k (da_k b_k + a_k db_k + da_k db_k), as one
 * product of inner size 2 K r, so that w is read and written once.
 */
#include "common.h"

/* Row i of left [m, 2Kr] = [da | a (+ da)], with the devices' columns side by side. */
static void pack_left_row(float *left, const float *a, const float *da, int64_t i, int64_t devices, int64_t m,
                          int64_t rank, float add) {
  int64_t inner = devices * rank;
  for (int64_t k = 0; k < devices; k++) {
    const float *a_row = a + (k * m + i) * rank, *da_row = da + (k * m + i) * rank;
    float *delta = left + i * 2 * inner + k * rank, *moved = delta + inner;
    for (int64_t j = 0; j < rank; j++) {
      delta[j] = da_row[j];
      moved[j] = a_row[j] + add * da_row[j];
    }
  }
}

int rs_hd_pissa_apply(float *w, const float *a, const float *b, const float *da, const float *db, float *scratch,
                      int64_t devices, int64_t m, int64_t n, int64_t rank, float factor, int second_order) {
  int64_t inner = devices * rank;
  float *left = scratch, *right = scratch + m * 2 * inner;
#pragma omp parallel num_threads(rs_team((m + n) * inner, RS_STREAM_GRAIN))
  {
#pragma omp for schedule(static) nowait
    for (int64_t i = 0; i < m; i++) pack_left_row(left, a, da, i, devices, m, rank, second_order ? 1.0f : 0.0f);
#pragma omp for schedule(static)
    for (int64_t row = 0; row < 2 * inner; row++)
      memcpy(right + row * n, row < inner ? b + row * n : db + (row - inner) * n, (size_t)n * sizeof(float));
  }
  return rs_sgemm(0, 0, m, n, 2 * inner, factor, left, 2 * inner, right, n, 1, w, n);
}
