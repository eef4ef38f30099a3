/* Attention: which kernel for which head width and precision. */
#include "device.h"

/* What a head's width decides. */
typedef struct {
  int variant, rows, threads;
  int64_t width, parts;
} Shape;

static Shape shape_of(int64_t head_dim) {
  int variant = head_dim <= 32 ? 0 : head_dim <= 64 ? 1 : head_dim <= 128 ? 2 : 3, width = 32 << variant;
  return (Shape){variant, RS_ATTENTION_ROWS(width), RS_ATTENTION_THREADS(width), width, RS_ATTENTION_PARTS(width)};
}

/*
 * Launches the kernel of one of the three families that fits head width and precision; `own` and `other` count tiles in
 * shared memory, `rows` the queries or keys that blocks share out.
 */
static int attention(int kernel_32, int own, int other, int64_t rows, int64_t heads, int64_t batch,
                     const Attention *p) {
  Shape shape = shape_of(p->head_dim);
  int per_width = KERNEL_attention_64_float32 - KERNEL_attention_32_float32;
  int64_t shared = (own * shape.rows + other * RS_ATTENTION_TILE) * (shape.width + 4) * 4;
  int most = rs_attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
  if (p->head_dim > 256)
    return rs_fail(RS_BAD_ARGUMENT, "attention heads of %lld are wider than 256", (long long)p->head_dim);
  if (shared > most)
    return rs_fail(RS_BAD_ARGUMENT, "attention heads of %lld need %lld bytes of shared memory, this GPU has %d",
                   (long long)p->head_dim, (long long)shared, most);
  return rs_launch(kernel_32 + shape.variant * per_width + (products == RS_TF32),
                   (rows + shape.rows - 1) / shape.rows, heads * shape.parts, batch, shape.threads, shared, p);
}
static Attention describe(const float *q, const float *k, const float *v, int64_t sequence, int64_t heads,
                          int64_t key_value_heads, int64_t head_dim, int64_t window, float scale) {
  return (Attention){.q = q,
                     .k = k,
                     .v = v,
                     .sequence = sequence,
                     .heads = heads,
                     .key_value_heads = key_value_heads,
                     .head_dim = head_dim,
                     .window = window,
                     .scale = scale,
                     .bfloat16 = operands == RS_BFLOAT16};
}
int rs_attention(float *y, float *log_sum_exp, const float *q, const float *k, const float *v, int64_t batch,
                 int64_t sequence, int64_t heads, int64_t key_value_heads, int64_t head_dim, int64_t window,
                 float scale) {
  Attention p = describe(q, k, v, sequence, heads, key_value_heads, head_dim, window, scale);
  p.out0 = y;
  p.log_sum_exp = log_sum_exp;
  return attention(KERNEL_attention_32_float32, 1, 2, sequence, heads, batch, &p);
}
int rs_attention_backward(float *dq, float *dk, float *dv, const float *dy, const float *y, const float *log_sum_exp,
                          const float *q, const float *k, const float *v, int64_t batch, int64_t sequence,
                          int64_t heads, int64_t key_value_heads, int64_t head_dim, int64_t window, float scale) {
  Attention p = describe(q, k, v, sequence, heads, key_value_heads, head_dim, window, scale);
  p.y = y;
  p.dy = dy;
  p.log_sum_exp = (float *)(uintptr_t)log_sum_exp;
  p.delta = rs_scratch(SCRATCH_DELTA, rs_max(1, batch * heads * sequence) * 4);
  if (!p.delta) return RS_OUT_OF_MEMORY;
  TRY(rs_launch(KERNEL_attention_delta, batch * sequence, heads, 1, 32, 0, &p));
  p.out0 = dq;
  TRY(attention(KERNEL_attention_dq_32_float32, 2, 2, sequence, heads, batch, &p));
  p.out0 = dk;
  p.out1 = dv;
  return attention(KERNEL_attention_dkv_32_float32, 2, 2, sequence, key_value_heads, batch, &p);
}
int rs_cached_attention(float *y, const float *q, const float *keys, const float *values, const int32_t *lengths,
                        int64_t batch, int64_t capacity, int64_t heads, int64_t key_value_heads, int64_t head_dim,
                        int64_t window, float scale) {
  for (int64_t b = 0; b < batch; b++)
    if (lengths[b] < 1 || lengths[b] > capacity)
      return rs_fail(RS_BAD_ARGUMENT, "length %d of sequence %lld in a cache of %lld", lengths[b], (long long)b,
                     (long long)capacity);
  const int32_t *staged = rs_stage(lengths, batch * 4);
  float *scores = rs_scratch(SCRATCH_PARTS, batch * heads * capacity * 4);
  if (!staged || !scores) return RS_OUT_OF_MEMORY;
  return LAUNCH(cached_attention, batch * heads, 1, 1, rs_threads_for(capacity), 0, .y = y, .scores = scores, .q = q,
                .keys = keys, .values = values, .lengths = staged, .capacity = capacity, .heads = heads,
                .key_value_heads = key_value_heads, .head_dim = head_dim, .window = window, .scale = scale);
}
