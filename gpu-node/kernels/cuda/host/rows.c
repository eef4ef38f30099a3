/* Norms, rotations, activations and dropout: one launch each. */
#include "device.h"

int rs_rms_norm(float *y, float *rstd, const float *x, const float *gain, int64_t rows, int64_t width, float epsilon) {
  return LAUNCH(rms_norm, rows, 1, 1, rs_threads_for(width), 0, .y = y, .rstd = rstd, .x = x, .gain = gain,
                .width = width, .epsilon = epsilon);
}
int rs_rms_norm_input_gradient(float *dx, const float *dy, const float *x, const float *gain, const float *rstd,
                               int add, int64_t rows, int64_t width) {
  return LAUNCH(rms_norm_gradient, rows, 1, 1, rs_threads_for(width), 0, .dx = dx, .dy = dy, .x = x, .gain = gain,
                .rstd = rstd, .width = width, .add = add);
}
int rs_rms_norm_gain_gradient(float *dgain, const float *dy, const float *x, const float *rstd, int64_t rows,
                              int64_t width) {
  return rs_weighted_column_sum(dgain, dy, x, rstd, rows, width);
}
int rs_rope(float *y, const float *x, const float *cosine, const float *sine, int64_t rows, int64_t sequence,
            int64_t heads, int64_t head_dim, float direction) {
  return LAUNCH_EACH(rope, rows * heads * (head_dim / 2), .y = y, .x = x, .cosine = cosine, .sine = sine, .rows = rows,
                     .sequence = sequence, .heads = heads, .head_dim = head_dim, .direction = direction);
}
int rs_swiglu(float *y, const float *gate, const float *up, int64_t count) {
  return LAUNCH_EACH(swiglu, count, .dgate = y, .gate = gate, .up = up, .count = count);
}
int rs_swiglu_backward(float *dgate, float *dup, const float *dy, const float *gate, const float *up, int64_t count) {
  return LAUNCH_EACH(swiglu_gradient, count, .dgate = dgate, .dup = dup, .dy = dy, .gate = gate, .up = up,
                     .count = count);
}
int rs_dropout(float *y, const float *x, const int32_t *keys, int64_t examples, int64_t size, int64_t threshold,
               float factor, int add) {
  if (threshold < 0 || threshold > UINT32_MAX || size > UINT32_MAX)
    return rs_fail(RS_BAD_ARGUMENT, "dropout of %lld entries an example", (long long)size);
  const int32_t *staged = rs_stage(keys, examples * 8);
  if (!staged) return RS_DEVICE_FAILED;
  return LAUNCH_EACH(dropout, examples * size, .y = y, .x = x, .keys = staged, .examples = examples, .size = size,
                     .threshold = (uint32_t)threshold, .factor = factor, .add = add);
}
