/*
 * Causal attention with grouped queries, in blocks of query rows: one thread holds the scores of BLOCK queries against
 * the keys that they see, never those of a whole head. The backward pass recomputes them from the log-sum-exp of
 * each row (as in Dao et al., FlashAttention, 2022).
 */
#include "common.h"

#define BLOCK 64

/* One head of one sequence: where its rows begin and how far apart they lie. */
typedef struct {
  int64_t sequence, head_dim, window, query_stride, key_stride;
  float scale;
} Head;

/* First key that the query at `position` sees. */
static inline int64_t first_key(int64_t position, int64_t window) {
  return window > 0 ? rs_max(0, position - window + 1) : 0;
}

/* Softmax of a row of `count` scores in place; returns its log-sum-exp. */
static float softmax_row(float *score, int64_t count) {
  float largest = score[0], sum = 0;
#pragma omp simd reduction(max : largest)
  for (int64_t j = 1; j < count; j++) largest = score[j] > largest ? score[j] : largest;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < count; j++) {
    score[j] = rs_exp(score[j] - largest);
    sum += score[j];
  }
  float inverse = 1.0f / sum;
#pragma omp simd
  for (int64_t j = 0; j < count; j++) score[j] *= inverse;
  return largest + logf(sum);
}

/* Outputs and log-sum-exp of the queries start .. start + BLOCK - 1 of a head. */
static void forward_block(const Head *head, float *y, float *log_sum_exp, const float *q, const float *k,
                          const float *v, int64_t start, float *score) {
  int64_t rows = rs_min(BLOCK, head->sequence - start), first = first_key(start, head->window);
  int64_t keys = start + rows - first;
  rs_sgemm(0, 1, rows, keys, head->head_dim, head->scale, q + start * head->query_stride, head->query_stride,
           k + first * head->key_stride, head->key_stride, 0, score, keys);
  for (int64_t i = 0; i < rows; i++) {
    float *row = score + i * keys;
    int64_t from = first_key(start + i, head->window) - first, to = start + i + 1 - first;
    memset(row, 0, (size_t)from * sizeof(float));
    log_sum_exp[start + i] = softmax_row(row + from, to - from);
    memset(row + to, 0, (size_t)(keys - to) * sizeof(float));
  }
  rs_sgemm(0, 0, rows, head->head_dim, keys, 1, score, keys, v + first * head->key_stride, head->key_stride, 0,
           y + start * head->query_stride, head->query_stride);
}

int rs_attention(float *y, float *log_sum_exp, const float *q, const float *k, const float *v, int64_t batch,
                 int64_t sequence, int64_t heads, int64_t key_value_heads, int64_t head_dim, int64_t window,
                 float scale) {
  Head head = {sequence, head_dim, window, heads * head_dim, key_value_heads * head_dim, scale};
  int64_t blocks = (sequence + BLOCK - 1) / BLOCK, tasks = batch * heads * blocks;
  int out_of_memory = 0;
  rs_enter_parallel_gemm();
#pragma omp parallel num_threads(rs_team(tasks * BLOCK * BLOCK, RS_MATH_GRAIN))
  {
    float *score = rs_scratch(BLOCK * sequence);
    if (score == NULL) {
#pragma omp atomic write
      out_of_memory = 1;
    }
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < tasks; task++) {
      /* The longest rows first, so that the threads finish together. */
      int64_t block = blocks - 1 - task / (batch * heads), sample = task / heads % batch, number = task % heads;
      int64_t group = number / (heads / key_value_heads);
      int64_t query_offset = sample * sequence * head.query_stride + number * head_dim;
      int64_t key_offset = sample * sequence * head.key_stride + group * head_dim;
      if (score != NULL)
        forward_block(&head, y + query_offset, log_sum_exp + (sample * heads + number) * sequence, q + query_offset,
                      k + key_offset, v + key_offset, block * BLOCK, score);
    }
    free(score);
  }
  rs_leave_parallel_gemm();
  return out_of_memory ? rs_fail(RS_OUT_OF_MEMORY, "attention: no memory for scores of %lld keys", (long long)sequence)
                       : RS_OK;
}

/*
 * With P the probabilities and D_i = dy_i . y_i: dS = P * (dy v^T - D) * scale; dq = dS k, dk += dS^T q,
 * dv += P^T dy, for the queries start .. start + BLOCK - 1.
 */
static void backward_block(const Head *head, float *dq, float *dk, float *dv, const float *dy, const float *y,
                           const float *log_sum_exp, const float *q, const float *k, const float *v, int64_t start,
                           float *score, float *dscore) {
  int64_t rows = rs_min(BLOCK, head->sequence - start), first = first_key(start, head->window);
  int64_t keys = start + rows - first, at = start * head->query_stride, key_at = first * head->key_stride;
  int64_t width = head->head_dim;
  rs_sgemm(0, 1, rows, keys, width, head->scale, q + at, head->query_stride, k + key_at, head->key_stride, 0, score,
           keys);
  rs_sgemm(0, 1, rows, keys, width, 1, dy + at, head->query_stride, v + key_at, head->key_stride, 0, dscore, keys);
  for (int64_t i = 0; i < rows; i++) {
    float *p = score + i * keys, *d = dscore + i * keys, dot = 0, shift = log_sum_exp[start + i];
    const float *dy_row = dy + at + i * head->query_stride, *y_row = y + at + i * head->query_stride;
    int64_t from = first_key(start + i, head->window) - first, to = start + i + 1 - first;
#pragma omp simd reduction(+ : dot)
    for (int64_t j = 0; j < width; j++) dot += dy_row[j] * y_row[j];
#pragma omp simd
    for (int64_t j = from; j < to; j++) {
      p[j] = rs_exp(p[j] - shift);
      d[j] = p[j] * (d[j] - dot) * head->scale;
    }
    memset(p, 0, (size_t)from * sizeof(float));
    memset(d, 0, (size_t)from * sizeof(float));
    memset(p + to, 0, (size_t)(keys - to) * sizeof(float));
    memset(d + to, 0, (size_t)(keys - to) * sizeof(float));
  }
  rs_sgemm(1, 0, keys, width, rows, 1, score, keys, dy + at, head->query_stride, 1, dv + key_at, head->key_stride);
  rs_sgemm(0, 0, rows, width, keys, 1, dscore, keys, k + key_at, head->key_stride, 0, dq + at, head->query_stride);
  rs_sgemm(1, 0, keys, width, rows, 1, dscore, keys, q + at, head->query_stride, 1, dk + key_at, head->key_stride);
}

int rs_attention_backward(float *dq, float *dk, float *dv, const float *dy, const float *y, const float *log_sum_exp,
                          const float *q, const float *k, const float *v, int64_t batch, int64_t sequence,
                          int64_t heads, int64_t key_value_heads, int64_t head_dim, int64_t window, float scale) {
  Head head = {sequence, head_dim, window, heads * head_dim, key_value_heads * head_dim, scale};
  int64_t tasks = batch * key_value_heads, repeat = heads / key_value_heads;
  int out_of_memory = 0;
  rs_enter_parallel_gemm();
  /* A thread owns a key-value head, so nobody else adds to its dk and dv. */
#pragma omp parallel num_threads(rs_team(tasks * repeat * sequence * BLOCK, RS_MATH_GRAIN))
  {
    float *score = rs_scratch(2 * BLOCK * sequence);
    if (score == NULL) {
#pragma omp atomic write
      out_of_memory = 1;
    }
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < tasks; task++) {
      if (score == NULL) continue;
      int64_t sample = task / key_value_heads, group = task % key_value_heads;
      int64_t key_offset = sample * sequence * head.key_stride + group * head_dim;
      for (int64_t row = 0; row < sequence; row++) {
        memset(dk + key_offset + row * head.key_stride, 0, (size_t)head_dim * sizeof(float));
        memset(dv + key_offset + row * head.key_stride, 0, (size_t)head_dim * sizeof(float));
      }
      for (int64_t number = group * repeat; number < (group + 1) * repeat; number++) {
        int64_t offset = sample * sequence * head.query_stride + number * head_dim;
        for (int64_t start = 0; start < sequence; start += BLOCK)
          backward_block(&head, dq + offset, dk + key_offset, dv + key_offset, dy + offset, y + offset,
                         log_sum_exp + (sample * heads + number) * sequence, q + offset, k + key_offset,
                         v + key_offset, start, score, score + BLOCK * sequence);
      }
    }
    free(score);
  }
  rs_leave_parallel_gemm();
  return out_of_memory ? rs_fail(RS_OUT_OF_MEMORY, "attention: no memory for scores of %lld keys", (long long)sequence)
                       : RS_OK;
}
