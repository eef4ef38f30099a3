/*
 * Causal attention with grouped queries, in blocks of query rows: the scores of a block exist for as long as they are
 * needed, those of a whole head never. The backward pass recomputes them from each row's log-sum-exp (as in Dao et
 * al., FlashAttention, 2022). Strips of a few rows stop at the last key that one of them sees, so that little of the
 * hidden half is computed.
 */
#include "common.h"
#include "tile_gemm.h"
#include "transpose.h"
#include "vector.h"

/* Query rows of a block, whose scores wait for the products that sum over rows. */
#define BLOCK 64
#define STRIP TILE_ROWS

/* One layer's attention; a head's rows lie query_stride or key_stride apart. */
typedef struct {
  int64_t batch, sequence, heads, groups, head_dim, window, query_stride, key_stride;
  float scale;
} Layout;

/*
 * Scratch memory of one thread; keys and values of the group at hand are transposed to [head_dim, padded], and scores
 * have rows of whole registers: what is hidden or padding is -infinity there, so that no loop has a remainder.
 */
typedef struct {
  int64_t padded;
  float *keys, *values, *score, *dscore;
} Workspace;

static inline int64_t whole_registers(int64_t count) { return (count + LANES - 1) / LANES * LANES; }

/* First key that the query at `position` sees. */
static inline int64_t first_key(const Layout *l, int64_t position) {
  return l->window > 0 ? rs_max(0, position - l->window + 1) : 0;
}

static void transpose_head(float *to, const float *from, const Layout *l, int64_t padded) {
  for (int64_t row = 0; row < padded; row += LANES) {
    int64_t rows = rs_max(0, rs_min(LANES, l->sequence - row));
    rs_transpose_block(to + row, padded, from + row * l->key_stride, l->key_stride, rows, l->head_dim);
    for (int64_t j = 0; j < l->head_dim; j++)
      for (int64_t i = rows; i < LANES; i++) to[j * padded + row + i] = 0;
  }
}

/* Hides what the query at `position` must not see in its row of `width` scores, which begins with key `first`. */
static void hide(const Layout *l, float *score, int64_t position, int64_t first, int64_t width) {
  for (int64_t j = 0; j < first_key(l, position) - first; j++) score[j] = -INFINITY;
  for (int64_t j = position + 1 - first; j < width; j++) score[j] = -INFINITY;
}

/* Turns scores into exp(score - largest); returns the log-sum-exp and the sum by which to divide. */
static float exponentials(float *score, int64_t width, float *sum_out) {
  float largest = -INFINITY, sum = 0;
#pragma omp simd reduction(max : largest)
  for (int64_t j = 0; j < width; j++) largest = score[j] > largest ? score[j] : largest;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < width; j++) {
    score[j] = rs_exp(score[j] - largest);
    sum += score[j];
  }
  *sum_out = sum;
  return largest + logf(sum);
}

/* Outputs and log-sum-exp of the queries start .. start + STRIP - 1 of one head. */
static void forward_strip(const Layout *l, float *y, float *log_sum_exp, const float *q, const float *v,
                          int64_t start, const Workspace *w) {
  int64_t rows = rs_min(STRIP, l->sequence - start), first = first_key(l, start), keys = start + rows - first;
  int64_t width = whole_registers(keys);
  const float *q_strip = q + start * l->query_stride;
  float *y_strip = y + start * l->query_stride, sum[STRIP];
  rs_tile_gemm(rows, width, l->head_dim, l->scale, q_strip, l->query_stride, 1, w->keys + first, w->padded, 0,
               w->score, width);
  for (int64_t i = 0; i < rows; i++) {
    hide(l, w->score + i * width, start + i, first, width);
    log_sum_exp[start + i] = exponentials(w->score + i * width, width, &sum[i]);
  }
  rs_tile_gemm(rows, l->head_dim, keys, 1, w->score, width, 1, v + first * l->key_stride, l->key_stride, 0, y_strip,
               l->query_stride);
  for (int64_t i = 0; i < rows; i++) {
    float inverse = 1.0f / sum[i];
#pragma omp simd
    for (int64_t j = 0; j < l->head_dim; j++) y_strip[i * l->query_stride + j] *= inverse;
  }
}

/*
 * With P the probabilities and D_i = dy_i . y_i: dS = P * (dy v^T - D) * scale; dq = dS k, dk += dS^T q,
 * dv += P^T dy, for the queries start .. start + BLOCK - 1 of one head. Here: P, dS and dq of one strip, whose rows
 * of `score` and `dscore` begin with key `first` and are `stride` long.
 */
static void backward_strip(const Layout *l, float *dq, const float *dy, const float *y, const float *log_sum_exp,
                           const float *q, const float *k, int64_t start, int64_t rows, int64_t first, int64_t stride,
                           const Workspace *w, float *score, float *dscore) {
  int64_t keys = start + rows - first, width = whole_registers(keys), at = start * l->query_stride;
  rs_tile_gemm(rows, width, l->head_dim, l->scale, q + at, l->query_stride, 1, w->keys + first, w->padded, 0, score,
               stride);
  rs_tile_gemm(rows, width, l->head_dim, 1, dy + at, l->query_stride, 1, w->values + first, w->padded, 0, dscore,
               stride);
  for (int64_t i = 0; i < rows; i++) {
    const float *dy_row = dy + at + i * l->query_stride, *y_row = y + at + i * l->query_stride;
    float *p = score + i * stride, *d = dscore + i * stride, dot = 0, shift = log_sum_exp[start + i];
#pragma omp simd reduction(+ : dot)
    for (int64_t j = 0; j < l->head_dim; j++) dot += dy_row[j] * y_row[j];
    hide(l, p, start + i, first, width);
#pragma omp simd
    for (int64_t j = 0; j < width; j++) {
      p[j] = rs_exp(p[j] - shift);
      d[j] = p[j] * (d[j] - dot) * l->scale;
    }
    memset(p + width, 0, (size_t)(stride - width) * sizeof(float));
    memset(d + width, 0, (size_t)(stride - width) * sizeof(float));
  }
  rs_tile_gemm(rows, l->head_dim, keys, 1, dscore, stride, 1, k + first * l->key_stride, l->key_stride, 0, dq + at,
               l->query_stride);
}

static void backward_block(const Layout *l, float *dq, float *dk, float *dv, const float *dy, const float *y,
                           const float *log_sum_exp, const float *q, const float *k, int64_t start,
                           const Workspace *w) {
  int64_t rows = rs_min(BLOCK, l->sequence - start), first = first_key(l, start), keys = start + rows - first;
  int64_t stride = whole_registers(keys);
  for (int64_t i = 0; i < rows; i += STRIP)
    backward_strip(l, dq, dy, y, log_sum_exp, q, k, start + i, rs_min(STRIP, rows - i), first, stride, w,
                   w->score + i * stride, w->dscore + i * stride);
  /* Keys before the block are seen by all its rows, later ones only from their own row on. */
  for (int64_t key = 0; key < keys; key += BLOCK) {
    int64_t count = rs_min(BLOCK, keys - key), skip = rs_max(0, first + key - start) / STRIP * STRIP;
    const float *dy_rows = dy + (start + skip) * l->query_stride, *q_rows = q + (start + skip) * l->query_stride;
    int64_t to = (first + key) * l->key_stride, from = skip * stride + key;
    rs_tile_gemm(count, l->head_dim, rows - skip, 1, w->score + from, 1, stride, dy_rows, l->query_stride, 1, dv + to,
                 l->key_stride);
    rs_tile_gemm(count, l->head_dim, rows - skip, 1, w->dscore + from, 1, stride, q_rows, l->query_stride, 1, dk + to,
                 l->key_stride);
  }
}

/* Columns of transposed keys: a window may start anywhere, and its last register may reach beyond the sequence. */
static int64_t padded_sequence(const Layout *l) { return whole_registers(l->sequence + LANES); }

/* Scratch memory for one thread out of a common block. */
static Workspace workspace(const Layout *l, float *block, int64_t score_rows) {
  int64_t padded = padded_sequence(l), head = l->head_dim * padded, scores = score_rows * padded;
  float *own = block + rs_thread_number() * (2 * head + 2 * scores);
  Workspace w = {padded, own, own + head, own + 2 * head, own + 2 * head + scores};
  return w;
}

static float *workspaces(const Layout *l, int threads, int64_t score_rows) {
  float *block = rs_scratch(threads * 2 * (l->head_dim + score_rows) * padded_sequence(l));
  if (block == NULL) rs_fail(RS_OUT_OF_MEMORY, "attention: no memory for scores of %lld keys", (long long)l->sequence);
  return block;
}

int rs_attention(float *y, float *log_sum_exp, const float *q, const float *k, const float *v, int64_t batch,
                 int64_t sequence, int64_t heads, int64_t key_value_heads, int64_t head_dim, int64_t window,
                 float scale) {
  Layout l = {batch,  sequence, heads, key_value_heads, head_dim, window, heads * head_dim, key_value_heads * head_dim,
              scale};
  int64_t repeat = heads / key_value_heads;
  int threads = rs_team(batch * heads * sequence * sequence, RS_MATH_GRAIN);
  float *block = workspaces(&l, threads, STRIP);
  if (block == NULL) return RS_OUT_OF_MEMORY;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (int64_t task = 0; task < batch * key_value_heads; task++) {
    int64_t sample = task / key_value_heads, group = task % key_value_heads;
    int64_t key_offset = sample * sequence * l.key_stride + group * head_dim;
    Workspace w = workspace(&l, block, STRIP);
    transpose_head(w.keys, k + key_offset, &l, w.padded);
    for (int64_t head = group * repeat; head < (group + 1) * repeat; head++) {
      int64_t offset = sample * sequence * l.query_stride + head * head_dim;
      for (int64_t start = 0; start < sequence; start += STRIP)
        forward_strip(&l, y + offset, log_sum_exp + (sample * heads + head) * sequence, q + offset, v + key_offset,
                      start, &w);
    }
  }
  rs_scratch_free(block);
  return RS_OK;
}

int rs_attention_backward(float *dq, float *dk, float *dv, const float *dy, const float *y, const float *log_sum_exp,
                          const float *q, const float *k, const float *v, int64_t batch, int64_t sequence,
                          int64_t heads, int64_t key_value_heads, int64_t head_dim, int64_t window, float scale) {
  Layout l = {batch,  sequence, heads, key_value_heads, head_dim, window, heads * head_dim, key_value_heads * head_dim,
              scale};
  int64_t repeat = heads / key_value_heads;
  int threads = rs_team(batch * heads * sequence * sequence, RS_MATH_GRAIN);
  float *block = workspaces(&l, threads, BLOCK);
  if (block == NULL) return RS_OUT_OF_MEMORY;
  /* A thread owns a key-value head, so nobody else adds to its dk and dv. */
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (int64_t task = 0; task < batch * key_value_heads; task++) {
    int64_t sample = task / key_value_heads, group = task % key_value_heads;
    int64_t key_offset = sample * sequence * l.key_stride + group * head_dim;
    Workspace w = workspace(&l, block, BLOCK);
    transpose_head(w.keys, k + key_offset, &l, w.padded);
    transpose_head(w.values, v + key_offset, &l, w.padded);
    for (int64_t row = 0; row < sequence; row++) {
      memset(dk + key_offset + row * l.key_stride, 0, (size_t)head_dim * sizeof(float));
      memset(dv + key_offset + row * l.key_stride, 0, (size_t)head_dim * sizeof(float));
    }
    for (int64_t head = group * repeat; head < (group + 1) * repeat; head++) {
      int64_t offset = sample * sequence * l.query_stride + head * head_dim;
      for (int64_t start = 0; start < sequence; start += BLOCK)
        backward_block(&l, dq + offset, dk + key_offset, dv + key_offset, dy + offset, y + offset,
                       log_sum_exp + (sample * heads + head) * sequence, q + offset, k + key_offset, start, &w);
    }
  }
  rs_scratch_free(block);
  return RS_OK;
}
