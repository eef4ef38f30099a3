/* Kernels that add up: along rows (a block each), along columns, over everything; always in the same order. */
#include <float.h>
#include <math.h>

#include "device.cuh"

/* One block for each row from here on. */
KERNEL(rms_norm, RS_BLOCK) {
  const float *x = p.x + blockIdx.x * p.width;
  float *y = p.y + blockIdx.x * p.width, squares = 0;
  for (int64_t j = threadIdx.x; j < p.width; j += blockDim.x) squares += x[j] * x[j];
  float inverse = 1.0f / sqrtf(block_sum(squares) / (float)p.width + p.epsilon);
  if (threadIdx.x == 0) p.rstd[blockIdx.x] = inverse;
  for (int64_t j = threadIdx.x; j < p.width; j += blockDim.x) y[j] = x[j] * inverse * p.gain[j];
}

KERNEL(rms_norm_gradient, RS_BLOCK) {
  const float *x = p.x + blockIdx.x * p.width, *dy = p.dy + blockIdx.x * p.width;
  float *dx = p.dx + blockIdx.x * p.width, inverse = p.rstd[blockIdx.x], sum = 0;
  for (int64_t j = threadIdx.x; j < p.width; j += blockDim.x) sum += dy[j] * p.gain[j] * x[j];
  float shrink = block_sum(sum) * inverse * inverse * inverse / (float)p.width;
  for (int64_t j = threadIdx.x; j < p.width; j += blockDim.x) {
    float here = inverse * dy[j] * p.gain[j] - shrink * x[j];
    dx[j] = p.add ? dx[j] + here : here;
  }
}

/* partial [chunks, columns]: block (x, y) adds up `chunk` rows of 256 columns; y and scale [rows] may be NULL. */
KERNEL(column_sum, RS_BLOCK) {
  int64_t column = (int64_t)blockIdx.x * RS_BLOCK + threadIdx.x, start = blockIdx.y * p.chunk;
  if (column >= p.columns) return;
  float sum = 0;
  for (int64_t row = start; row < start + p.chunk && row < p.rows; row++) {
    float value = p.x[row * p.columns + column];
    if (p.y) value *= p.y[row * p.columns + column];
    if (p.scale) value *= p.scale[row];
    sum += value;
  }
  p.partial[blockIdx.y * p.columns + column] = sum;
}
/* The partial sums, x [rows, columns], in order. */
KERNEL(column_total, RS_BLOCK) {
  EACH(column, p.columns) {
    float sum = 0;
    for (int64_t row = 0; row < p.rows; row++) sum += p.x[row * p.columns + column];
    p.partial[column] = sum;
  }
}

/* A tree over the block's float64 values; thread 0 gets the sum, and all may call it again. */
__device__ inline double block_sum64(double x) {
  SHARED_ARRAY(double, all, RS_BLOCK);
  all[threadIdx.x] = x;
  for (unsigned half = RS_BLOCK / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) all[threadIdx.x] += all[threadIdx.x + half];
  }
  double sum = threadIdx.x == 0 ? all[0] : 0;
  __syncthreads();
  return sum;
}
/* The partial sums of a tensor: a number of its size alone, so that the sum is the same on any GPU. */
KERNEL(squares, RS_BLOCK) {
  double sum = 0;
  EACH(i, p.count) sum += (double)p.x[i] * (double)p.x[i];
  sum = block_sum64(sum);
  if (threadIdx.x == 0) p.partial[blockIdx.x] = sum;
}
/* Of all tensors, partial [tensors, RS_SQUARES_PARTS], in their order; one block. */
KERNEL(squares_total, RS_BLOCK) {
  double total = 0;
  for (int64_t tensor = 0; tensor < p.tensors; tensor++) {
    int64_t parts = (p.counts[tensor] + RS_BLOCK - 1) / RS_BLOCK;
    bool has = threadIdx.x < RS_SQUARES_PARTS && threadIdx.x < parts;
    total += block_sum64(has ? p.partial[tensor * RS_SQUARES_PARTS + threadIdx.x] : 0);
  }
  if (threadIdx.x == 0) *p.sum = total;
}

/* A row of logits becomes weight (softmax - one-hot) where a gradient is wanted; per_token gets the cross-entropy. */
KERNEL(cross_entropy, RS_BLOCK) {
  int64_t row = blockIdx.x;
  float *logit = p.logits + row * p.vocabulary, largest = -FLT_MAX, sum = 0;
  int target = p.targets[row];
  if (target == -100) {
    if (p.gradient)
      for (int64_t j = threadIdx.x; j < p.vocabulary; j += blockDim.x) logit[j] = 0;
    if (threadIdx.x == 0) p.per_token[row] = 0;
    return;
  }
  /* One pass for both: the sum is rescaled whenever a larger logit comes. */
  for (int64_t j = threadIdx.x; j < p.vocabulary; j += blockDim.x) {
    float x = logit[j];
    if (x > largest) {
      sum = sum * expf(largest - x) + 1.0f;
      largest = x;
    } else
      sum += expf(x - largest);
  }
  float top = block_reduce<Largest>(largest, -FLT_MAX);
  sum = block_sum(sum * expf(largest - top));
  if (threadIdx.x == 0) p.per_token[row] = top + logf(sum) - logit[target];
  if (!p.gradient) return;
  __syncthreads(); /* the target's logit has been read */
  float weight = p.weights[row], factor = weight / sum;
  for (int64_t j = threadIdx.x; j < p.vocabulary; j += blockDim.x)
    logit[j] = expf(logit[j] - top) * factor - (j == target ? weight : 0.0f);
}

/* *loss = sum of weights * per_token over rows that count; one block. */
KERNEL(loss, RS_BLOCK) {
  double sum = 0;
  for (int64_t row = threadIdx.x; row < p.rows; row += RS_BLOCK)
    if (p.targets[row] != -100) sum += (double)p.weights[row] * (double)p.per_token[row];
  sum = block_sum64(sum);
  if (threadIdx.x == 0) *p.loss = (float)sum;
}

/* Rows of dy with one id, in the order of the batch, into the id's row: segments [.., 3] of (id, begin, end) of order.
 */
KERNEL(scatter_rows, RS_BLOCK) {
  const int32_t *segment = p.segments + 3 * blockIdx.x;
  int64_t column = (int64_t)blockIdx.y * RS_BLOCK + threadIdx.x;
  if (column >= p.width) return;
  float sum = 0;
  for (int32_t i = segment[1]; i < segment[2]; i++) sum += p.dy[p.order[i] * p.width + column];
  p.dtable[segment[0] * p.width + column] = sum;
}

/* One query against a cache; a block for each head of each sequence, its scores in global memory. */
KERNEL(cached_attention, RS_BLOCK) {
  int64_t sample = blockIdx.x / p.heads, head = blockIdx.x % p.heads, group = head / (p.heads / p.key_value_heads);
  int64_t length = p.lengths[sample], first = p.window > 0 && length > p.window ? length - p.window : 0;
  int64_t stride = p.key_value_heads * p.head_dim, start = (sample * p.capacity + first) * stride + group * p.head_dim;
  const float *q = p.q + blockIdx.x * p.head_dim;
  float *score = p.scores + blockIdx.x * p.capacity, largest = -INFINITY, sum = 0;
  int64_t count = length - first;
  for (int64_t j = threadIdx.x; j < count; j += blockDim.x) {
    float dot = 0;
    for (int64_t i = 0; i < p.head_dim; i++) dot += q[i] * p.keys[start + j * stride + i];
    score[j] = dot * p.scale;
    largest = Largest::of(largest, score[j]);
  }
  largest = block_reduce<Largest>(largest, -INFINITY);
  for (int64_t j = threadIdx.x; j < count; j += blockDim.x) sum += score[j] = expf(score[j] - largest);
  sum = block_sum(sum); /* its barriers also make all scores visible */
  for (int64_t i = threadIdx.x; i < p.head_dim; i += blockDim.x) {
    float y = 0;
    for (int64_t j = 0; j < count; j++) y += score[j] * p.values[start + j * stride + i];
    p.y[blockIdx.x * p.head_dim + i] = y / sum;
  }
}
