/* Rows of a table by token id, and the sum of gradients back into the table. */
#include "common.h"

static int check_ids(const int32_t *ids, int64_t rows, int64_t vocabulary) {
  for (int64_t row = 0; row < rows; row++)
    if (ids[row] < 0 || ids[row] >= vocabulary)
      return rs_fail(RS_BAD_ARGUMENT, "token id %d at row %lld is outside the vocabulary of %lld", ids[row],
                     (long long)row, (long long)vocabulary);
  return RS_OK;
}

int rs_embedding(float *y, const float *table, const int32_t *ids, int64_t rows, int64_t width, int64_t vocabulary) {
  int status = check_ids(ids, rows, vocabulary);
  if (status != RS_OK) return status;
#pragma omp parallel for schedule(static) num_threads(rs_team(rows * width, RS_STREAM_GRAIN))
  for (int64_t row = 0; row < rows; row++)
    memcpy(y + row * width, table + ids[row] * width, (size_t)width * sizeof(float));
  return RS_OK;
}

int rs_embedding_backward(float *dtable, const float *dy, const int32_t *ids, int64_t rows, int64_t width,
                          int64_t vocabulary) {
  int status = check_ids(ids, rows, vocabulary);
  if (status != RS_OK) return status;
  rs_fill(dtable, vocabulary * width, 0);
  /* A thread owns a band of columns: rows of one id are added in order, without locks. */
  int64_t band = 64, bands = (width + band - 1) / band;
#pragma omp parallel for schedule(static) num_threads(rs_team(rows * width, RS_STREAM_GRAIN))
  for (int64_t b = 0; b < bands; b++) {
    int64_t from = b * band, count = rs_min(band, width - from);
    for (int64_t row = 0; row < rows; row++) {
      float *to = dtable + ids[row] * width + from;
      const float *add = dy + row * width + from;
#pragma omp simd
      for (int64_t j = 0; j < count; j++) to[j] += add[j];
    }
  }
  return RS_OK;
}
