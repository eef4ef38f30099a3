/* RMSNorm (Zhang and Sennrich, 2019): y = x / sqrt(mean(x^2) + epsilon) * gain, row by row. */
#include "common.h"

/* Rows whose share of dgain is summed together; fixed, so that the sum's order does not depend on threads. */
#define GAIN_ROWS 64

int rs_rms_norm(float *y, float *rstd, const float *x, const float *gain, int64_t rows, int64_t width,
                float epsilon) {
#pragma omp parallel for schedule(static) num_threads(rs_team(rows * width, RS_STREAM_GRAIN))
  for (int64_t row = 0; row < rows; row++) {
    const float *from = x + row * width;
    float *to = y + row * width, squares = 0;
#pragma omp simd reduction(+ : squares)
    for (int64_t j = 0; j < width; j++) squares += from[j] * from[j];
    float inverse = 1.0f / sqrtf(squares / (float)width + epsilon);
    rstd[row] = inverse;
#pragma omp simd
    for (int64_t j = 0; j < width; j++) to[j] = from[j] * inverse * gain[j];
  }
  return RS_OK;
}

/*
 * With s = sum_j dy_j gain_j x_j of a row: dx = rstd * (dy * gain - x * s * rstd^2 / width),
 * dgain = sum over rows of dy * x * rstd.
 */
static void backward_row(float *dx, float *dgain, const float *dy, const float *x, const float *gain, float inverse,
                         int64_t width) {
  if (dgain != NULL) {
#pragma omp simd
    for (int64_t j = 0; j < width; j++) dgain[j] += dy[j] * x[j] * inverse;
  }
  if (dx != NULL) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < width; j++) sum += dy[j] * gain[j] * x[j];
    float shrink = sum * inverse * inverse * inverse / (float)width;
#pragma omp simd
    for (int64_t j = 0; j < width; j++) dx[j] = inverse * dy[j] * gain[j] - shrink * x[j];
  }
}

int rs_rms_norm_backward(float *dx, float *dgain, const float *dy, const float *x, const float *gain,
                         const float *rstd, int64_t rows, int64_t width) {
  int64_t blocks = (rows + GAIN_ROWS - 1) / GAIN_ROWS;
  float *partial = NULL;
  if (dgain != NULL) {
    partial = calloc((size_t)rs_max(blocks * width, 1), sizeof(float));
    if (partial == NULL) return rs_fail(RS_OUT_OF_MEMORY, "RMSNorm gradient: no memory for %lld rows", (long long)rows);
  }
#pragma omp parallel for schedule(static) num_threads(rs_team(rows * width, RS_STREAM_GRAIN))
  for (int64_t block = 0; block < blocks; block++) {
    int64_t end = rs_min(rows, (block + 1) * GAIN_ROWS);
    for (int64_t row = block * GAIN_ROWS; row < end; row++)
      backward_row(dx == NULL ? NULL : dx + row * width, partial == NULL ? NULL : partial + block * width,
                   dy + row * width, x + row * width, gain, rstd[row], width);
  }
  if (dgain != NULL) {
    memset(dgain, 0, (size_t)width * sizeof(float));
    for (int64_t block = 0; block < blocks; block++)
      for (int64_t j = 0; j < width; j++) dgain[j] += partial[block * width + j];
    free(partial);
  }
  return RS_OK;
}
