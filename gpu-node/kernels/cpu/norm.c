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

/* With s = sum_j dy_j gain_j x_j of a row: dx = rstd * (dy * gain - x * s * rstd^2 / width). */
int rs_rms_norm_input_gradient(float *dx, const float *dy, const float *x, const float *gain, const float *rstd,
                               int add, int64_t rows, int64_t width) {
#pragma omp parallel for schedule(static) num_threads(rs_team(rows * width, RS_STREAM_GRAIN))
  for (int64_t row = 0; row < rows; row++) {
    const float *dy_row = dy + row * width, *x_row = x + row * width;
    float *to = dx + row * width, inverse = rstd[row], sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < width; j++) sum += dy_row[j] * gain[j] * x_row[j];
    float shrink = sum * inverse * inverse * inverse / (float)width;
    if (add) {
#pragma omp simd
      for (int64_t j = 0; j < width; j++) to[j] += inverse * dy_row[j] * gain[j] - shrink * x_row[j];
    } else {
#pragma omp simd
      for (int64_t j = 0; j < width; j++) to[j] = inverse * dy_row[j] * gain[j] - shrink * x_row[j];
    }
  }
  return RS_OK;
}

int rs_rms_norm_gain_gradient(float *dgain, const float *dy, const float *x, const float *rstd, int64_t rows,
                              int64_t width) {
  int64_t blocks = (rows + GAIN_ROWS - 1) / GAIN_ROWS;
  float *partial = calloc((size_t)rs_max(blocks * width, 1), sizeof(float));
  if (partial == NULL) return rs_fail(RS_OUT_OF_MEMORY, "RMSNorm gradient: no memory for %lld rows", (long long)rows);
#pragma omp parallel for schedule(static) num_threads(rs_team(rows * width, RS_STREAM_GRAIN))
  for (int64_t block = 0; block < blocks; block++) {
    int64_t end = rs_min(rows, (block + 1) * GAIN_ROWS);
    float *sum = partial + block * width;
    for (int64_t row = block * GAIN_ROWS; row < end; row++) {
      const float *dy_row = dy + row * width, *x_row = x + row * width;
      float inverse = rstd[row];
#pragma omp simd
      for (int64_t j = 0; j < width; j++) sum[j] += dy_row[j] * x_row[j] * inverse;
    }
  }
  memset(dgain, 0, (size_t)width * sizeof(float));
  for (int64_t block = 0; block < blocks; block++)
    for (int64_t j = 0; j < width; j++) dgain[j] += partial[block * width + j];
  free(partial);
  return RS_OK;
}
