/* Loops over elements, sums over columns and squares. */
#include "device.h"

#define BINARY(name) \
  int rs_##name(float *out, const float *a, const float *b, int64_t count) { \
    return LAUNCH_EACH(name, count, .out = out, .a = a, .b = b, .count = count); \
  }
BINARY(add)
BINARY(subtract)
BINARY(multiply)
BINARY(divide)
BINARY(maximum)
BINARY(multiply_one_plus)
#define BY_ROW(name) \
  int rs_##name(float *out, const float *a, const float *b, int64_t rows, int64_t width) { \
    return LAUNCH_EACH(name, rows * width, .out = out, .a = a, .b = b, .count = rows * width, .width = width); \
  }
BY_ROW(add_row)
BY_ROW(multiply_row)
int rs_fill(float *x, int64_t count, float value) {
  return LAUNCH_EACH(fill, count, .out = x, .count = count, .factor = value);
}
int rs_scale(float *out, const float *x, float factor, int64_t count) {
  return LAUNCH_EACH(scale, count, .out = out, .a = x, .count = count, .factor = factor);
}
int rs_square_root(float *out, const float *x, int64_t count) {
  return LAUNCH_EACH(square_root, count, .out = out, .a = x, .count = count);
}
int rs_round_bfloat16(float *out, const float *x, int64_t count) {
  return LAUNCH_EACH(round_bfloat16, count, .out = out, .a = x, .count = count);
}
int rs_accumulate(float *target, const float *x, float factor, int64_t count) {
  return LAUNCH_EACH(accumulate, count, .target = target, .x = x, .count = count, .factor = factor);
}
int rs_compensated_accumulate(float *target, float *compensation, const float *x, float factor, int64_t count) {
  return LAUNCH_EACH(compensated_accumulate, count, .target = target, .compensation = compensation, .x = x,
                     .count = count, .factor = factor);
}
int rs_copy_rows(float *to, int64_t to_stride, const float *from, int64_t from_stride, int64_t rows, int64_t width) {
  return LAUNCH_EACH(copy_rows, rows * width, .to = to, .from = from, .to_stride = to_stride,
                     .from_stride = from_stride, .rows = rows, .width = width);
}
int rs_transpose(float *out, const float *x, int64_t rows, int64_t columns) {
  return LAUNCH(transpose, (columns + 31) / 32, (rows + 31) / 32, 1, RS_BLOCK, 0, .to = out, .from = x, .rows = rows,
                .width = columns);
}

int rs_weighted_column_sum(float *out, const float *x, const float *y, const float *scale, int64_t rows,
                           int64_t columns) {
  int64_t chunk = rs_max(64, (rows + 65534) / 65535), chunks = (rows + chunk - 1) / chunk;
  float *partial = chunks > 1 ? rs_scratch(SCRATCH_PARTS, chunks * columns * 4) : out;
  if (!partial) return RS_OUT_OF_MEMORY;
  if (rows == 0) return rs_fill(out, columns, 0);
  TRY(LAUNCH(column_sum, (columns + RS_BLOCK - 1) / RS_BLOCK, chunks, 1, RS_BLOCK, 0, .partial = partial, .x = x,
             .y = y, .scale = scale, .rows = rows, .columns = columns, .chunk = chunk));
  return chunks == 1
             ? RS_OK
             : LAUNCH_EACH(column_total, columns, .partial = out, .x = partial, .rows = chunks, .columns = columns);
}
int rs_column_sum(float *out, const float *x, const float *y, int64_t rows, int64_t columns) {
  return rs_weighted_column_sum(out, x, y, NULL, rows, columns);
}
/* The sum on the device, for whoever reads it later; overwritten by the next one. */
RS_API double *rs_squares(const float *const *x, const int64_t *counts, int64_t tensors) {
  double *partial = rs_scratch(SCRATCH_PARTS, rs_max(1, tensors) * RS_SQUARES_PARTS * 8),
         *sum = rs_scratch(SCRATCH_SUM, 8);
  const int64_t *staged = rs_stage(counts, rs_max(1, tensors) * 8);
  if (!partial || !sum || !staged) return NULL;
  for (int64_t i = 0; i < tensors; i++)
    if (LAUNCH(squares, rs_min(RS_SQUARES_PARTS, (counts[i] + RS_BLOCK - 1) / RS_BLOCK), 1, 1, RS_BLOCK, 0,
               .partial = partial + i * RS_SQUARES_PARTS, .x = x[i], .count = counts[i]) != RS_OK)
      return NULL;
  return LAUNCH(squares_total, 1, 1, 1, RS_BLOCK, 0, .sum = sum, .partial = partial, .counts = staged,
                .tensors = tensors) == RS_OK
             ? sum
             : NULL;
}
int rs_sum_of_squares(double *sum, const float *const *x, const int64_t *counts, int64_t tensors) {
  const double *on_device = rs_squares(x, counts, tensors);
  return on_device ? rs_download(sum, on_device, 8) : RS_DEVICE_FAILED;
}
