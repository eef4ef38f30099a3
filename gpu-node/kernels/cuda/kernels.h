/*
 * What host (C) and device (CUDA C++) share: the parameter struct of every kernel and the list of kernels.
 *
 * A kernel takes one struct by value. The host fills the same struct, so the compiler checks names, types and
 * sizes on both sides; the emulation finds device addresses inside it by their tag.
 */
#ifndef RS_KERNELS_H
#define RS_KERNELS_H

#include <stdint.h>

/* No hidden gaps: what lies in them would be arbitrary, and might look like an address to the emulation. */
#if defined(__GNUC__) && !defined(__CUDACC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"
#endif
typedef struct {
  float *out;
  const float *a, *b;
  int64_t count, width;
  float factor;
  int32_t unused;
} Elementwise;
typedef struct {
  float *out;
  const void *x;
  int64_t rows, columns, all_rows; /* of this part; of the whole, where it is transposed */
  int32_t bytes, float16; /* of an element; of two bytes it is float16 or else bfloat16 */
} Widen;
typedef struct {
  float *target, *compensation;
  const float *x;
  int64_t count;
  float factor;
  int32_t unused;
} Accumulate;
typedef struct {
  float *to;
  const float *from;
  int64_t to_stride, from_stride, rows, width;
  const int32_t *to_row, *from_row;
} CopyRows;
typedef struct {
  float *partial;
  const float *x, *y, *scale;
  int64_t rows, columns, chunk;
} ColumnSum;
typedef struct {
  double *partial;
  const float *x;
  int64_t count;
} Squares;
typedef struct {
  double *sum;
  const double *partial;
  const int64_t *counts;
  int64_t tensors;
} SquaresTotal;
typedef struct {
  float *y, *rstd;
  const float *x, *gain;
  int64_t width;
  float epsilon;
  int32_t unused;
} Norm;
typedef struct {
  float *dx;
  const float *dy, *x, *gain, *rstd;
  int64_t width;
  int32_t add, unused;
} NormGradient;
typedef struct {
  float *y;
  const float *x, *cosine, *sine;
  int64_t rows, sequence, heads, head_dim;
  float direction;
  int32_t unused;
} Rope;
typedef struct {
  float *dgate, *dup;
  const float *dy, *gate, *up;
  int64_t count;
} Swiglu;
typedef struct {
  float *y;
  const float *x;
  const int32_t *keys;
  int64_t examples, size;
  uint32_t threshold;
  float factor;
  int32_t add, unused;
} Dropout;
typedef struct {
  float *p, *m, *v;
  const float *gradient;
  int64_t count;
  float rate, beta1, beta2, epsilon, keep, first, second, factor;
} Adam;
typedef struct {
  float *logits, *per_token;
  const int32_t *targets;
  const float *weights;
  int64_t vocabulary;
  int32_t gradient, unused;
} CrossEntropy;
typedef struct {
  float *loss;
  const float *per_token, *weights;
  const int32_t *targets;
  int64_t rows;
} Loss;
typedef struct {
  float *dtable;
  const float *dy;
  const int32_t *segments, *order;
  int64_t width;
} ScatterRows;
typedef struct {
  float *left, *right;
  const float *a, *b, *da, *db;
  int64_t devices, m, n, rank;
  float add;
  int32_t unused;
} HdPissaPack;
typedef struct {
  float *to;
  const float *from;
  int64_t rows, to_width, from_width, count;
  int32_t add, bfloat16;
} Wrap;
typedef struct {
  float *out0, *out1, *log_sum_exp, *delta; /* y | dq | dk and dv */
  const float *q, *k, *v, *y, *dy;
  int64_t sequence, heads, key_value_heads, head_dim, window;
  float scale;
  int32_t bfloat16; /* q, k, v and dy are rounded as they are read */
} Attention;
typedef struct {
  float *y, *scores;
  const float *q, *keys, *values;
  const int32_t *lengths;
  int64_t capacity, heads, key_value_heads, head_dim, window;
  float scale;
  int32_t unused;
} CachedAttention;
typedef struct {
  uint16_t *out;
  const float *x;
  int64_t count;
  int32_t part, unused;
} Pack;
typedef struct {
  float *out;
  const float *x;
  int64_t rows, columns, ld, stride, batch;
  int32_t down, small;
} Split;
#if defined(__GNUC__) && !defined(__CUDACC__)
#pragma GCC diagnostic pop
#endif

/* kernel, parameter struct */
#define RS_KERNELS(K) \
  K(fill, Elementwise) \
  K(add, Elementwise) K(subtract, Elementwise) K(multiply, Elementwise) K(divide, Elementwise) K(maximum, Elementwise) \
      K(square_root, Elementwise) K(add_row, Elementwise) K(multiply_row, Elementwise) K(scale, Elementwise) \
          K(multiply_one_plus, Elementwise) K(round_bfloat16, Elementwise) K(accumulate, Accumulate) \
              K(compensated_accumulate, Accumulate) K(copy_rows, CopyRows) K(transpose, CopyRows) K(widen, Widen) K(widen_transposed, Widen) \
                  K(column_sum, ColumnSum) K(column_total, ColumnSum) K(squares, Squares) \
                      K(squares_total, SquaresTotal) K(rms_norm, Norm) K(rms_norm_gradient, NormGradient) \
                          K(rope, Rope) K(swiglu, Swiglu) K(swiglu_gradient, Swiglu) K(dropout, Dropout) \
                              K(adamw, Adam) K(adam_delta, Adam) K(cross_entropy, CrossEntropy) K(loss, Loss) \
                                  K(scatter_rows, ScatterRows) K(hd_pissa_left, HdPissaPack) \
                                      K(hd_pissa_right, HdPissaPack) K(wrap, Wrap) \
                                          K(cached_attention, CachedAttention) K(attention_delta, Attention) \
                                              K(pack_bfloat16, Pack) K(split_tf32, Split) RS_ATTENTION(K, 32) \
                                                  RS_ATTENTION(K, 64) RS_ATTENTION(K, 128) RS_ATTENTION(K, 256)
/* Per padded head width, in float32 (products split in three) and in TF32. */
#define RS_ATTENTION(K, D) \
  K(attention_##D##_float32, Attention) \
  K(attention_##D##_tf32, Attention) K(attention_dq_##D##_float32, Attention) K(attention_dq_##D##_tf32, Attention) \
      K(attention_dkv_##D##_float32, Attention) K(attention_dkv_##D##_tf32, Attention)

#define RS_PARAMETERS(name, type) typedef type Parameters_##name;
RS_KERNELS(RS_PARAMETERS)

/* Threads of a block; blocks of float64 sums for one tensor, at most. */
enum { RS_BLOCK = 256, RS_SQUARES_PARTS = 256 };
/* Rows of the other side that a block of attention loads at once. */
enum { RS_ATTENTION_TILE = 32 };
/* Rows of its own, two threads for each; a wide head leaves shared memory for fewer, and registers for half its
 * columns. */
#define RS_ATTENTION_ROWS(D) ((D) > 128 ? 32 : 64)
#define RS_ATTENTION_THREADS(D) (2 * RS_ATTENTION_ROWS(D))
#define RS_ATTENTION_PARTS(D) ((D) > 128 ? 2 : 1)
#endif
