/* What token ids index: loss, embedding, caches. The host has the ids, checks them and stages them. */
#include "device.h"

#include <stdlib.h>

static int check_ids(const int32_t *ids, int64_t rows, int64_t vocabulary, int ignored, const char *what) {
  for (int64_t row = 0; row < rows; row++)
    if ((ids[row] < 0 || ids[row] >= vocabulary) && !(ignored && ids[row] == -100))
      return rs_fail(RS_BAD_ARGUMENT, "%s %d at row %lld is outside the vocabulary of %lld", what, ids[row],
                     (long long)row, (long long)vocabulary);
  return RS_OK;
}

int rs_cross_entropy(float *loss, float *per_token, float *dx, float *dhead, float *logits, const float *x,
                     const float *head, const int32_t *targets, const float *weights, int64_t rows, int64_t width,
                     int64_t vocabulary, int64_t chunk) {
  TRY(check_ids(targets, rows, vocabulary, 1, "target"));
  const int32_t *staged = rs_stage(targets, rows * 4);
  if (!staged) return RS_DEVICE_FAILED;
  for (int64_t start = 0; start < rows; start += chunk) {
    int64_t count = rs_min(chunk, rows - start);
    TRY(rs_gemm(0, 1, count, vocabulary, width, 1, x + start * width, width, head, width, 0, logits, vocabulary, 1, 0,
                0, 0));
    TRY(LAUNCH(cross_entropy, count, 1, 1, rs_threads_for(vocabulary), 0, .logits = logits,
               .per_token = per_token + start, .targets = staged + start, .weights = weights + start,
               .vocabulary = vocabulary, .gradient = dx || dhead));
    if (dx)
      TRY(rs_gemm_left_float32(0, count, width, vocabulary, logits, head, 0, dx + start * width));
    if (dhead)
      TRY(rs_gemm_left_float32(1, vocabulary, width, count, logits, x + start * width, start > 0, dhead));
  }
  return LAUNCH(loss, 1, 1, 1, RS_BLOCK, 0, .loss = loss, .per_token = per_token, .weights = weights, .targets = staged,
                .rows = rows);
}

int rs_embedding(float *y, const float *table, const int32_t *ids, int64_t rows, int64_t width, int64_t vocabulary) {
  TRY(check_ids(ids, rows, vocabulary, 0, "token id"));
  const int32_t *staged = rs_stage(ids, rows * 4);
  if (!staged) return RS_DEVICE_FAILED;
  return LAUNCH_EACH(copy_rows, rows * width, .to = y, .from = table, .to_stride = width, .from_stride = width,
                     .rows = rows, .width = width, .from_row = staged);
}

int rs_embedding_backward(float *dtable, const float *dy, const int32_t *ids, int64_t rows, int64_t width,
                          int64_t vocabulary) {
  TRY(check_ids(ids, rows, vocabulary, 0, "token id"));
  /* The host knows the ids: it sorts the rows by id, keeping their order, and each id's sum has one block to itself. */
  int32_t *begin = calloc((size_t)(vocabulary + 1), 4), *list = malloc((size_t)(rows * 4 + 1) * 4),
          *order = list + 3 * rows;
  int64_t segments = 0;
  if (!begin || !list)
    return free(begin), free(list), rs_fail(RS_OUT_OF_MEMORY, "no memory for %lld ids", (long long)vocabulary);
  for (int64_t row = 0; row < rows; row++) begin[ids[row] + 1]++;
  for (int64_t id = 0; id < vocabulary; id++) {
    if (begin[id + 1] > 0) {
      int32_t *segment = list + 3 * segments++;
      segment[0] = (int32_t)id;
      segment[1] = begin[id];
      segment[2] = begin[id] + begin[id + 1];
    }
    begin[id + 1] += begin[id];
  }
  for (int64_t row = 0; row < rows; row++) order[begin[ids[row]]++] = (int32_t)row;
  const int32_t *staged = rs_stage(list, rows * 16);
  free(begin);
  free(list);
  if (!staged) return RS_DEVICE_FAILED;
  TRY(rs_fill(dtable, vocabulary * width, 0));
  return LAUNCH(scatter_rows, segments, (width + RS_BLOCK - 1) / RS_BLOCK, 1, RS_BLOCK, 0, .dtable = dtable, .dy = dy,
                .segments = staged, .order = staged + 3 * rows, .width = width);
}

int rs_write_rows(float *target, const int32_t *rows, const float *x, int64_t count, int64_t width,
                  int64_t target_rows) {
  for (int64_t i = 0; i < count; i++)
    if (rows[i] < 0 || rows[i] >= target_rows)
      return rs_fail(RS_BAD_ARGUMENT, "row %d of a target with %lld rows", rows[i], (long long)target_rows);
  const int32_t *staged = rs_stage(rows, count * 4);
  if (!staged) return RS_DEVICE_FAILED;
  return LAUNCH_EACH(copy_rows, count * width, .to = target, .from = x, .to_stride = width, .from_stride = width,
                     .rows = count, .width = width, .to_row = staged);
}
