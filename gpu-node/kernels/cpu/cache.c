/* Greedy decoding: one query per sequence against the keys and values of the tokens before it. */
#include "common.h"

int rs_write_rows(float *target, const int32_t *rows, const float *x, int64_t count, int64_t width,
                  int64_t target_rows) {
  for (int64_t i = 0; i < count; i++)
    if (rows[i] < 0 || rows[i] >= target_rows)
      return rs_fail(RS_BAD_ARGUMENT, "row %d of a target with %lld rows", rows[i], (long long)target_rows);
  for (int64_t i = 0; i < count; i++)
    memcpy(target + rows[i] * width, x + i * width, (size_t)width * sizeof(float));
  return RS_OK;
}

/* One head: y [head_dim] = softmax(scale q keys^T) values over `count` rows `stride` apart. */
static void attend(float *y, const float *q, const float *keys, const float *values, int64_t count, int64_t stride,
                   int64_t head_dim, float scale, float *score) {
  float largest = -INFINITY, sum = 0;
  for (int64_t j = 0; j < count; j++) {
    const float *key = keys + j * stride;
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t i = 0; i < head_dim; i++) dot += q[i] * key[i];
    score[j] = dot * scale;
    largest = score[j] > largest ? score[j] : largest;
  }
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < count; j++) {
    score[j] = rs_exp(score[j] - largest);
    sum += score[j];
  }
  memset(y, 0, (size_t)head_dim * sizeof(float));
  for (int64_t j = 0; j < count; j++) {
    const float *value = values + j * stride;
    float weight = score[j] / sum;
#pragma omp simd
    for (int64_t i = 0; i < head_dim; i++) y[i] += weight * value[i];
  }
}

int rs_cached_attention(float *y, const float *q, const float *keys, const float *values, const int32_t *lengths,
                        int64_t batch, int64_t capacity, int64_t heads, int64_t key_value_heads, int64_t head_dim,
                        int64_t window, float scale) {
  int64_t stride = key_value_heads * head_dim, longest = 0;
  for (int64_t b = 0; b < batch; b++) {
    if (lengths[b] < 1 || lengths[b] > capacity)
      return rs_fail(RS_BAD_ARGUMENT, "length %d of sequence %lld in a cache of %lld", lengths[b], (long long)b,
                     (long long)capacity);
    longest = rs_max(longest, lengths[b]);
  }
  int threads = rs_team(batch * heads * longest * head_dim, RS_MATH_GRAIN);
  float *scratch = rs_scratch(threads * longest);
  if (scratch == NULL) return rs_fail(RS_OUT_OF_MEMORY, "cache: no memory for scores of %lld keys", (long long)longest);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (int64_t task = 0; task < batch * heads; task++) {
    int64_t sample = task / heads, head = task % heads, group = head / (heads / key_value_heads);
    int64_t first = window > 0 ? rs_max(0, lengths[sample] - window) : 0;
    int64_t offset = (sample * capacity + first) * stride + group * head_dim;
    attend(y + task * head_dim, q + task * head_dim, keys + offset, values + offset, lengths[sample] - first, stride,
           head_dim, scale, scratch + rs_thread_number() * longest);
  }
  rs_scratch_free(scratch);
  return RS_OK;
}
