/* Loops that stream memory: sums, products, scalings, sums over columns and squares. */
#include "common.h"

int rs_add(float *out, const float *a, const float *b, int64_t count) {
#pragma omp parallel for simd schedule(static) num_threads(rs_team(count, RS_STREAM_GRAIN))
  for (int64_t i = 0; i < count; i++) out[i] = a[i] + b[i];
  return RS_OK;
}

int rs_subtract(float *out, const float *a, const float *b, int64_t count) {
#pragma omp parallel for simd schedule(static) num_threads(rs_team(count, RS_STREAM_GRAIN))
  for (int64_t i = 0; i < count; i++) out[i] = a[i] - b[i];
  return RS_OK;
}

int rs_multiply(float *out, const float *a, const float *b, int64_t count) {
#pragma omp parallel for simd schedule(static) num_threads(rs_team(count, RS_STREAM_GRAIN))
  for (int64_t i = 0; i < count; i++) out[i] = a[i] * b[i];
  return RS_OK;
}

int rs_divide(float *out, const float *a, const float *b, int64_t count) {
#pragma omp parallel for simd schedule(static) num_threads(rs_team(count, RS_STREAM_GRAIN))
  for (int64_t i = 0; i < count; i++) out[i] = a[i] / b[i];
  return RS_OK;
}

int rs_maximum(float *out, const float *a, const float *b, int64_t count) {
#pragma omp parallel for simd schedule(static) num_threads(rs_team(count, RS_STREAM_GRAIN))
  for (int64_t i = 0; i < count; i++) out[i] = a[i] >= b[i] || a[i] != a[i] ? a[i] : b[i];
  return RS_OK;
}

int rs_square_root(float *out, const float *x, int64_t count) {
#pragma omp parallel for simd schedule(static) num_threads(rs_team(count, RS_STREAM_GRAIN))
  for (int64_t i = 0; i < count; i++) out[i] = sqrtf(x[i]);
  return RS_OK;
}

int rs_multiply_one_plus(float *out, const float *x, const float *y, int64_t count) {
#pragma omp parallel for simd schedule(static) num_threads(rs_team(count, RS_STREAM_GRAIN))
  for (int64_t i = 0; i < count; i++) out[i] = x[i] * (1.0f + y[i]);
  return RS_OK;
}

int rs_accumulate(float *target, const float *x, float factor, int64_t count) {
#pragma omp parallel for simd schedule(static) num_threads(rs_team(count, RS_STREAM_GRAIN))
  for (int64_t i = 0; i < count; i++) target[i] += factor * x[i];
  return RS_OK;
}

/* The compiler may not reorder these sums: the build allows no associative arithmetic. */
int rs_compensated_accumulate(float *target, float *compensation, const float *x, float factor, int64_t count) {
#pragma omp parallel for simd schedule(static) num_threads(rs_team(count, RS_STREAM_GRAIN))
  for (int64_t i = 0; i < count; i++) {
    float add = factor * x[i] - compensation[i], sum = target[i] + add;
    compensation[i] = (sum - target[i]) - add;
    target[i] = sum;
  }
  return RS_OK;
}

int rs_scale(float *out, const float *x, float factor, int64_t count) {
#pragma omp parallel for simd schedule(static) num_threads(rs_team(count, RS_STREAM_GRAIN))
  for (int64_t i = 0; i < count; i++) out[i] = factor * x[i];
  return RS_OK;
}

int rs_round_bfloat16(float *out, const float *x, int64_t count) {
#pragma omp parallel for simd schedule(static) num_threads(rs_team(count, RS_STREAM_GRAIN))
  for (int64_t i = 0; i < count; i++) out[i] = rs_bfloat16(x[i]);
  return RS_OK;
}

int rs_add_row(float *out, const float *a, const float *b, int64_t rows, int64_t width) {
#pragma omp parallel for schedule(static) num_threads(rs_team(rows * width, RS_STREAM_GRAIN))
  for (int64_t row = 0; row < rows; row++) {
    const float *from = a + row * width;
    float *to = out + row * width;
#pragma omp simd
    for (int64_t j = 0; j < width; j++) to[j] = from[j] + b[j];
  }
  return RS_OK;
}

int rs_multiply_row(float *out, const float *a, const float *b, int64_t rows, int64_t width) {
#pragma omp parallel for schedule(static) num_threads(rs_team(rows * width, RS_STREAM_GRAIN))
  for (int64_t row = 0; row < rows; row++) {
    const float *from = a + row * width;
    float *to = out + row * width;
#pragma omp simd
    for (int64_t j = 0; j < width; j++) to[j] = from[j] * b[j];
  }
  return RS_OK;
}

/* Blocks of a fixed size, each summed by one thread; the blocks' sums are added in order. */
#define SUM_BLOCK 65536

static int sum_of_squares(double *sum, const float *x, int64_t count) {
  int64_t blocks = (count + SUM_BLOCK - 1) / SUM_BLOCK;
  double *partial = malloc((size_t)rs_max(blocks, 1) * sizeof(double));
  if (partial == NULL) return rs_fail(RS_OUT_OF_MEMORY, "sum of squares: no memory for %lld blocks", (long long)blocks);
#pragma omp parallel for schedule(static) num_threads(rs_team(count, RS_STREAM_GRAIN))
  for (int64_t block = 0; block < blocks; block++) {
    int64_t end = rs_min(count, (block + 1) * SUM_BLOCK);
    double total = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t i = block * SUM_BLOCK; i < end; i++) total += (double)x[i] * (double)x[i];
    partial[block] = total;
  }
  *sum = 0;
  for (int64_t block = 0; block < blocks; block++) *sum += partial[block];
  free(partial);
  return RS_OK;
}

int rs_sum_of_squares(double *sum, const float *const *x, const int64_t *counts, int64_t tensors) {
  *sum = 0;
  for (int64_t i = 0; i < tensors; i++) {
    double of_tensor;
    int status = sum_of_squares(&of_tensor, x[i], counts[i]);
    if (status != RS_OK) return status;
    *sum += of_tensor;
  }
  return RS_OK;
}

int rs_column_sum(float *out, const float *x, const float *y, int64_t rows, int64_t columns) {
  /* A thread owns a band of columns, so each sum runs over the rows in order whatever the number of threads. */
  int64_t band = 256, bands = (columns + band - 1) / band;
#pragma omp parallel for schedule(static) num_threads(rs_team(rows * columns, RS_STREAM_GRAIN))
  for (int64_t b = 0; b < bands; b++) {
    int64_t from = b * band, width = rs_min(band, columns - from);
    memset(out + from, 0, (size_t)width * sizeof(float));
    for (int64_t row = 0; row < rows; row++) {
      const float *x_row = x + row * columns + from;
      const float *y_row = y == NULL ? NULL : y + row * columns + from;
      if (y_row == NULL) {
#pragma omp simd
        for (int64_t j = 0; j < width; j++) out[from + j] += x_row[j];
      } else {
#pragma omp simd
        for (int64_t j = 0; j < width; j++) out[from + j] += x_row[j] * y_row[j];
      }
    }
  }
  return RS_OK;
}
