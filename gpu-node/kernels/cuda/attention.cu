/*
 * Causal attention with grouped queries and a sliding window, block by block as FlashAttention-2 (arXiv 2307.08691),
 * on TF32 tensor cores. Deterministic: nothing is added up by atomics; dq has a kernel of its own instead, which
 * computes the scores once more.
 *
 * One pattern three times. A warp owns 16 rows (queries for y and dq, keys for dk and dv) and goes through tiles of
 * the other side in shared memory; scores are accumulators of mma.m16n8k8: lane 4 g + t holds rows g, g + 8 and
 * columns 2 t, 2 t + 1. As the left operand of the next product the same registers serve as columns t and t + 4,
 * if the right operand's rows are taken in that order too: no shuffle in between.
 */
#include <math.h>

#include "device.cuh"

enum { WARP_ROWS = 16, TILE = RS_ATTENTION_TILE, N = TILE / 8 };
template <int D>
constexpr int ROWS = RS_ATTENTION_ROWS(D);
template <int D>
constexpr int THREADS = RS_ATTENTION_THREADS(D);
/* A block's share of an output's columns: all of them, or half of a wide head's, whose scores two blocks compute. */
template <int D>
constexpr int PARTS = RS_ATTENTION_PARTS(D);
template <int D>
constexpr int OUT = D / PARTS<D>;

/* Row stride in shared memory: four more than the head is wide, so that fragments touch each bank once. */
template <int D>
constexpr int STRIDE = D + 4;

/* to [rows, D] = `rows` rows of a head from row `first` on, `stride` apart; zeros beyond the sequence and the head. */
template <int D>
__device__ void load(float *to, const float *from, int rows, int64_t first, int64_t stride, const Attention &p) {
  for (int i = threadIdx.x; i < rows * D; i += THREADS<D>) {
    int row = i / D, column = i % D;
    float x = first + row < p.sequence && column < p.head_dim ? from[(first + row) * stride + column] : 0.0f;
    to[row * STRIDE<D> + column] = p.bfloat16 ? to_bfloat16(x) : x;
  }
}

/* out (16 x TILE) += rows (16 x D) columns (TILE x D)^T */
template <int D, bool EXACT>
__device__ void scores(float (&out)[N][4], const float *rows, const float *columns) {
  int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll 4
  for (int k = 0; k < D; k += 8) {
    const float *r = rows + g * STRIDE<D> + k + t;
    float a[4] = {r[0], r[8 * STRIDE<D>], r[4], r[8 * STRIDE<D> + 4]};
#pragma unroll
    for (int n = 0; n < N; n++) {
      const float *c = columns + (8 * n + g) * STRIDE<D> + k + t;
      float b[2] = {c[0], c[4]};
      mma<EXACT>(out[n], a, b);
    }
  }
}

/* out (16 x OUT) += weights (16 x TILE) rows (TILE x OUT, from column `part` OUT on) */
template <int D, bool EXACT>
__device__ void weigh(float (&out)[OUT<D> / 8][4], const float (&weights)[N][4], const float *rows, int part) {
  int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
  for (int n = 0; n < N; n++) {
    float a[4] = {weights[n][0], weights[n][2], weights[n][1], weights[n][3]};
    const float *r = rows + (8 * n + 2 * t) * STRIDE<D> + part * OUT<D> + g;
#pragma unroll
    for (int d = 0; d < OUT<D> / 8; d++) {
      float b[2] = {r[8 * d], r[STRIDE<D> + 8 * d]};
      mma<EXACT>(out[d], a, b);
    }
  }
}

template <int Count>
__device__ void clear(float (&x)[Count][4]) {
#pragma unroll
  for (int i = 0; i < Count; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) x[i][j] = 0;
}

/* Row of accumulator j of the lane within its warp's 16, and column within 8 n. */
__device__ inline int row_of(int j) { return threadIdx.x % 32 / 4 + j / 2 * 8; }
__device__ inline int column_of(int n, int j) { return 8 * n + threadIdx.x % 4 * 2 + j % 2; }

__device__ inline bool visible(int64_t query, int64_t key, const Attention &p) {
  return key <= query && query < p.sequence && (p.window == 0 || query - key < p.window);
}
/* First key that the query sees. */
__device__ inline int64_t first_key(int64_t query, const Attention &p) {
  return p.window > 0 && query >= p.window ? query - p.window + 1 : 0;
}

/* The warp's accumulators times the factor of their row into rows first.. of a head. */
template <int D>
__device__ void store(float *to, const float (&x)[OUT<D> / 8][4], const float (&factor)[2], int64_t first,
                      int64_t stride, int part, const Attention &p) {
#pragma unroll
  for (int d = 0; d < OUT<D> / 8; d++)
#pragma unroll
    for (int j = 0; j < 4; j++)
      if (first + row_of(j) < p.sequence && part * OUT<D> + column_of(d, j) < p.head_dim)
        to[(first + row_of(j)) * stride + part * OUT<D> + column_of(d, j)] = x[d][j] * factor[j / 2];
}

/* Sum or maximum over the four lanes that share the rows. */
template <class Operation>
__device__ float of_row(float x) {
  x = Operation::of(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return Operation::of(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

#define LOG2_E 1.44269504088896341f

/* Grid: blocks of queries (those with most keys first), heads and parts of them, batch. */
template <int D, bool EXACT>
__device__ void forward(const Attention &p) {
  DYNAMIC_SHARED(float, q);
  float *k = q + ROWS<D> * STRIDE<D>, *v = k + TILE * STRIDE<D>;
  int64_t start = (int64_t)(gridDim.x - 1 - blockIdx.x) * ROWS<D>, head = blockIdx.y / PARTS<D>, batch = blockIdx.z;
  int part = blockIdx.y % PARTS<D>;
  int64_t group = head / (p.heads / p.key_value_heads), q_stride = p.heads * p.head_dim,
          k_stride = p.key_value_heads * p.head_dim;
  int64_t q_at = batch * p.sequence * q_stride + head * p.head_dim,
          k_at = batch * p.sequence * k_stride + group * p.head_dim;
  int64_t own = start + threadIdx.x / 32 * WARP_ROWS,
          last = start + ROWS<D> < p.sequence ? start + ROWS<D> : p.sequence;
  float y[OUT<D> / 8][4], largest[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0}, factor = p.scale * LOG2_E;
  clear(y);
  load<D>(q, p.q + q_at, ROWS<D>, start, q_stride, p);
  for (int64_t key = first_key(start, p) / TILE * TILE; key < last; key += TILE) {
    __syncthreads();
    load<D>(k, p.k + k_at, TILE, key, k_stride, p);
    load<D>(v, p.v + k_at, TILE, key, k_stride, p);
    __syncthreads();
    float s[N][4], top[2] = {largest[0], largest[1]};
    clear(s);
    scores<D, EXACT>(s, q + threadIdx.x / 32 * WARP_ROWS * STRIDE<D>, k);
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
      for (int j = 0; j < 4; j++) {
        s[n][j] = visible(own + row_of(j), key + column_of(n, j), p) ? s[n][j] * factor : -INFINITY;
        top[j / 2] = fmaxf(top[j / 2], s[n][j]);
      }
#pragma unroll
    for (int r = 0; r < 2; r++) {
      top[r] = of_row<Largest>(top[r]);
      /* Nothing visible yet: any finite number does. */
      float shift = top[r] == -INFINITY ? 0.0f : top[r], keep = exp2f(largest[r] - shift);
      largest[r] = top[r];
      sum[r] *= keep;
#pragma unroll
      for (int d = 0; d < OUT<D> / 8; d++) {
        y[d][2 * r] *= keep;
        y[d][2 * r + 1] *= keep;
      }
#pragma unroll
      for (int n = 0; n < N; n++)
#pragma unroll
        for (int j = 2 * r; j < 2 * r + 2; j++) sum[r] += s[n][j] = exp2f(s[n][j] - shift);
    }
    weigh<D, EXACT>(y, s, v, part);
  }
  float inverse[2];
#pragma unroll
  for (int r = 0; r < 2; r++) {
    sum[r] = of_row<Sum>(sum[r]);
    inverse[r] = 1.0f / sum[r];
    int64_t row = own + row_of(2 * r);
    if (threadIdx.x % 4 == 0 && row < p.sequence && part == 0)
      p.log_sum_exp[(batch * p.heads + head) * p.sequence + row] = largest[r] / LOG2_E + logf(sum[r]);
  }
  store<D>(p.out0 + q_at, y, inverse, own, q_stride, part, p);
}

/* s becomes the probabilities, ds the gradient of the scores, for query + rows and key + columns (or the other way). */
template <bool KEYS_OWN>
__device__ void differentiate(float (&s)[N][4], float (&ds)[N][4], int64_t own, int64_t other, const float *lse,
                              const float *delta, const Attention &p) {
#pragma unroll
  for (int n = 0; n < N; n++)
#pragma unroll
    for (int j = 0; j < 4; j++) {
      int64_t row = own + row_of(j), column = other + column_of(n, j), query = KEYS_OWN ? column : row;
      bool seen = visible(query, KEYS_OWN ? row : column, p);
      s[n][j] = seen ? exp2f((s[n][j] * p.scale - lse[query]) * LOG2_E) : 0.0f;
      ds[n][j] = seen ? s[n][j] * (ds[n][j] - delta[query]) * p.scale : 0.0f;
    }
}

/* Grid as forward's. */
template <int D, bool EXACT>
__device__ void query_gradient(const Attention &p) {
  DYNAMIC_SHARED(float, q);
  float *dy = q + ROWS<D> * STRIDE<D>, *k = dy + ROWS<D> * STRIDE<D>, *v = k + TILE * STRIDE<D>;
  int64_t start = (int64_t)(gridDim.x - 1 - blockIdx.x) * ROWS<D>, head = blockIdx.y / PARTS<D>, batch = blockIdx.z;
  int part = blockIdx.y % PARTS<D>;
  int64_t group = head / (p.heads / p.key_value_heads), q_stride = p.heads * p.head_dim,
          k_stride = p.key_value_heads * p.head_dim;
  int64_t q_at = batch * p.sequence * q_stride + head * p.head_dim,
          k_at = batch * p.sequence * k_stride + group * p.head_dim;
  int64_t row_at = (batch * p.heads + head) * p.sequence,
          last = start + ROWS<D> < p.sequence ? start + ROWS<D> : p.sequence;
  int own = threadIdx.x / 32 * WARP_ROWS;
  float dq[OUT<D> / 8][4];
  clear(dq);
  load<D>(q, p.q + q_at, ROWS<D>, start, q_stride, p);
  load<D>(dy, p.dy + q_at, ROWS<D>, start, q_stride, p);
  for (int64_t key = first_key(start, p) / TILE * TILE; key < last; key += TILE) {
    __syncthreads();
    load<D>(k, p.k + k_at, TILE, key, k_stride, p);
    load<D>(v, p.v + k_at, TILE, key, k_stride, p);
    __syncthreads();
    float s[N][4], ds[N][4];
    clear(s);
    clear(ds);
    scores<D, EXACT>(s, q + own * STRIDE<D>, k);
    scores<D, EXACT>(ds, dy + own * STRIDE<D>, v);
    differentiate<false>(s, ds, start + own, key, p.log_sum_exp + row_at, p.delta + row_at, p);
    weigh<D, EXACT>(dq, ds, k, part);
  }
  const float one[2] = {1, 1};
  store<D>(p.out0 + q_at, dq, one, start + own, q_stride, part, p);
}

/* Grid: blocks of keys, key-value heads and parts of them, batch; all query heads of the group one after the other. */
template <int D, bool EXACT>
__device__ void key_value_gradient(const Attention &p) {
  DYNAMIC_SHARED(float, k);
  float *v = k + ROWS<D> * STRIDE<D>, *q = v + ROWS<D> * STRIDE<D>, *dy = q + TILE * STRIDE<D>;
  int64_t start = (int64_t)blockIdx.x * ROWS<D>, group = blockIdx.y / PARTS<D>, batch = blockIdx.z,
          repeat = p.heads / p.key_value_heads;
  int part = blockIdx.y % PARTS<D>;
  int64_t q_stride = p.heads * p.head_dim, k_stride = p.key_value_heads * p.head_dim;
  int64_t k_at = batch * p.sequence * k_stride + group * p.head_dim;
  int64_t last =
      p.window > 0 && start + ROWS<D> - 1 + p.window < p.sequence ? start + ROWS<D> - 1 + p.window : p.sequence;
  int own = threadIdx.x / 32 * WARP_ROWS;
  float dk[OUT<D> / 8][4], dv[OUT<D> / 8][4];
  clear(dk);
  clear(dv);
  load<D>(k, p.k + k_at, ROWS<D>, start, k_stride, p);
  load<D>(v, p.v + k_at, ROWS<D>, start, k_stride, p);
  for (int64_t head = group * repeat; head < (group + 1) * repeat; head++) {
    int64_t q_at = batch * p.sequence * q_stride + head * p.head_dim, row_at = (batch * p.heads + head) * p.sequence;
    for (int64_t query = start; query < last; query += TILE) {
      __syncthreads();
      load<D>(q, p.q + q_at, TILE, query, q_stride, p);
      load<D>(dy, p.dy + q_at, TILE, query, q_stride, p);
      __syncthreads();
      float s[N][4], ds[N][4];
      clear(s);
      clear(ds);
      scores<D, EXACT>(s, k + own * STRIDE<D>, q);
      scores<D, EXACT>(ds, v + own * STRIDE<D>, dy);
      differentiate<true>(s, ds, start + own, query, p.log_sum_exp + row_at, p.delta + row_at, p);
      weigh<D, EXACT>(dv, s, dy, part);
      weigh<D, EXACT>(dk, ds, q, part);
    }
  }
  const float one[2] = {1, 1};
  store<D>(p.out0 + k_at, dk, one, start + own, k_stride, part, p);
  store<D>(p.out1 + k_at, dv, one, start + own, k_stride, part, p);
}

/* delta [batch, heads, sequence] = sums of dy * y over a head; one warp for each, grid: rows of the batch, heads. */
KERNEL(attention_delta, 32) {
  int64_t at = (blockIdx.x * p.heads + blockIdx.y) * p.head_dim;
  float sum = 0;
  for (int64_t j = threadIdx.x; j < p.head_dim; j += 32)
    sum += (p.bfloat16 ? to_bfloat16(p.dy[at + j]) : p.dy[at + j]) * p.y[at + j];
  sum = block_sum(sum);
  if (threadIdx.x == 0)
    p.delta[(blockIdx.x / p.sequence * p.heads + blockIdx.y) * p.sequence + blockIdx.x % p.sequence] = sum;
}

#define OF_WIDTH(D) \
  KERNEL(attention_##D##_float32, THREADS<D>) { forward<D, true>(p); } \
  KERNEL(attention_##D##_tf32, THREADS<D>) { forward<D, false>(p); } \
  KERNEL(attention_dq_##D##_float32, THREADS<D>) { query_gradient<D, true>(p); } \
  KERNEL(attention_dq_##D##_tf32, THREADS<D>) { query_gradient<D, false>(p); } \
  KERNEL(attention_dkv_##D##_float32, THREADS<D>) { key_value_gradient<D, true>(p); } \
  KERNEL(attention_dkv_##D##_tf32, THREADS<D>) { key_value_gradient<D, false>(p); }
OF_WIDTH(32)
OF_WIDTH(64)
OF_WIDTH(128)
OF_WIDTH(256)
