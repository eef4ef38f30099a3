/*
 * The C interface of the kernels. A build keeps tensors where it computes: cpu/ in memory of the
 * process, cuda/ on a GPU, where calls return before the work is done; int32 arrays are the host's in both.
 *
 * Rules
 *  - Every function that can fail returns a status: RS_OK or one of the codes below; rs_last_error() then says
 *    what was wrong, in words, for the calling thread.
 *  - Tensors are pointers to float32 (int32 for token ids), row-major, without gaps unless a stride is named.
 *    Sizes are int64_t counts of elements, never bytes, unless the name says so.
 *  - An output may be the same buffer as an input only where the comment says so.
 *  - NaN and infinity pass through as IEEE 754 has it; no kernel hides them.
 *  - For a fixed number of threads every result is the same bit for bit from run to run: threads share out whole
 *    rows or fixed blocks, and partial sums are added in the order of the blocks.
 */
#ifndef RANKSCOPE_H
#define RANKSCOPE_H

#include <stdint.h>

#define RS_INTERFACE_VERSION 6

enum { RS_OK = 0, RS_BAD_ARGUMENT = 1, RS_OUT_OF_MEMORY = 2 };
enum { RS_FLOAT32 = 0, RS_TF32 = 1, RS_BFLOAT16 = 2, RS_3XTF32 = 3 };
/* How floats lie in a file of weights, little-endian. */
enum { RS_STORED_FLOAT32 = 0, RS_STORED_BFLOAT16 = 1, RS_STORED_FLOAT16 = 2 };

#if defined(__GNUC__)
#define RS_API __attribute__((visibility("default")))
#else
#define RS_API
#endif

/* ---- library.c ---- */

/* RS_INTERFACE_VERSION of the library that was loaded. */
RS_API int rs_interface_version(void);
/* Text of the last error on this thread; empty when there was none. */
RS_API const char *rs_last_error(void);
/* Threads used by kernels called from this thread; both OpenMP and OpenBLAS follow it. */
RS_API int rs_set_threads(int threads);
/*
 * How float32 operands are multiplied, sums in float32: RS_FLOAT32; and where the build has it RS_TF32 (both cut to 11
 * significant bits) or RS_3XTF32 (both split in two TF32 parts, all but small * small multiplied: float32's accuracy).
 * Another is RS_BAD_ARGUMENT.
 */
RS_API int rs_set_products(int precision);
/*
 * What operands of matrix products are rounded to before they are multiplied, sums in float32: RS_FLOAT32 (not at all),
 * or where the build has it RS_BFLOAT16; gpu-node/src/ops/rounded-operands.ts says which operands these are.
 */
RS_API int rs_set_operands(int precision);
/* Who multiplies matrices, e.g. "built-in sgemm, OpenBLAS 0.3.29 with SkylakeX kernels". */
RS_API const char *rs_gemm_description(void);

/* ---- memory.c ---- */

/* 64-byte aligned memory, large blocks on huge pages; NULL when there is none. */
RS_API void *rs_allocate(int64_t bytes);
/* Gives back a block of rs_allocate; `bytes` as it was asked for. */
RS_API int rs_release(void *block, int64_t bytes);
/* From the host to a block. When it returns `from` may change, even if the copy is still on its way. */
RS_API int rs_upload(void *to, const void *from, int64_t bytes);
/* From a block to the host: waits for all that was asked for before. */
RS_API int rs_download(void *to, const void *from, int64_t bytes);
/* Between blocks. */
RS_API int rs_copy(void *to, const void *from, int64_t bytes);
RS_API int rs_fill(float *x, int64_t count, float value);
/* Copies `rows` rows of `width` elements between buffers with row strides (concatenation, slices). */
RS_API int rs_copy_rows(float *to, int64_t to_stride, const float *from, int64_t from_stride, int64_t rows,
                        int64_t width);

/* ---- gemm.c ---- */

/*
 * C = alpha op(A) op(B) + beta C for `batch` matrices a stride apart; op(A) is m x k, op(B) is k x n, C is m x n.
 * beta = 0 never reads C. A stride of 0 shares the matrix.
 */
RS_API int rs_gemm(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
                   int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc, int64_t batch,
                   int64_t stride_a, int64_t stride_b, int64_t stride_c);

/*
 * C = A op(B) + beta C + scale left op(right), with left [m, rank] and right [rank, n]: a weight and its low-rank adapter
 * in one pass over C. A is m x k, B k x n; `transposed` holds for B and right, which are then [n, k] and [n, rank].
 */
RS_API int rs_gemm_low_rank(int transposed, int64_t m, int64_t n, int64_t k, const float *a, const float *b, float beta,
                            float *c, int64_t rank, float scale, const float *left, const float *right);

/* ---- adapter.c ---- */

/*
 * Gradients of low-rank adapters a [devices, m, rank], b [devices, rank, n] from the input x [rows, m] and the output's
 * gradient dy [rows, n]; device k owns the rows k * rows / devices onwards. With u = scale dy b^T: da = x^T u,
 * db = scale (x a)^T dy. u [rows, rank] is handed out unless NULL.
 */
RS_API int rs_adapter_gradients(float *da, float *db, float *u, const float *x, const float *dy, const float *a,
                                const float *b, int64_t devices, int64_t rows, int64_t m, int64_t n, int64_t rank,
                                float scale);

/* ---- mora.c ---- */

/*
 * y [rows, outputs] = D(C(x) square), x [rows, inputs], square [size, size]; added to what y holds where `add` is set.
 * With cosine, sine [at least ceil(inputs / size), size / 2] (size even): C repeats the columns of x to whole blocks and
 * rotates block i, half-split, by row i; D puts the products side by side and repeats or cuts them. With NULL: C adds
 * the blocks up, D repeats or cuts their product. With `bfloat16` set C(x), or in the gradients the transpose of D of dy,
 * is rounded before it is multiplied; `square` is taken as it is.
 */
RS_API int rs_mora_map(float *y, const float *x, const float *square, const float *cosine, const float *sine,
                       int64_t rows, int64_t inputs, int64_t outputs, int64_t size, int add, int bfloat16);
/* dx [rows, inputs] of rs_mora_map; added to what dx holds where `add` is set. */
RS_API int rs_mora_input_gradient(float *dx, const float *dy, const float *square, const float *cosine,
                                  const float *sine, int64_t rows, int64_t inputs, int64_t outputs, int64_t size,
                                  int add, int bfloat16);
/* dsquare [size, size] of rs_mora_map. */
RS_API int rs_mora_square_gradient(float *dsquare, const float *x, const float *dy, const float *cosine,
                                   const float *sine, int64_t rows, int64_t inputs, int64_t outputs, int64_t size,
                                   int bfloat16);

/* ---- dropout.c ---- */

/*
 * y = x * factor, or x * 0 where mix(mix(i ^ key_0) + key_1) < threshold (unsigned), i the entry's place in its example of
 * `size` entries, mix as in dropout.c; keys [examples, 2]. Added to what y holds where `add` is set. y may be x where it is
 * not.
 */
RS_API int rs_dropout(float *y, const float *x, const int32_t *keys, int64_t examples, int64_t size, int64_t threshold,
                      float factor, int add);

/* ---- elementwise.c ---- */

/* out = a + b, a - b, a * b, a / b; out may be a or b. */
RS_API int rs_add(float *out, const float *a, const float *b, int64_t count);
RS_API int rs_subtract(float *out, const float *a, const float *b, int64_t count);
RS_API int rs_multiply(float *out, const float *a, const float *b, int64_t count);
RS_API int rs_divide(float *out, const float *a, const float *b, int64_t count);
/* out = the larger of a and b, NaN where either is; out may be a or b. */
RS_API int rs_maximum(float *out, const float *a, const float *b, int64_t count);
/* out = square root of x, rounded right; out may be x. */
RS_API int rs_square_root(float *out, const float *x, int64_t count);
/* out = a + b, a * b with b [width] applied to each of the `rows` rows of a; out may be a. */
RS_API int rs_add_row(float *out, const float *a, const float *b, int64_t rows, int64_t width);
RS_API int rs_multiply_row(float *out, const float *a, const float *b, int64_t rows, int64_t width);
/* target += factor x */
RS_API int rs_accumulate(float *target, const float *x, float factor, int64_t count);
/* The same with Kahan's compensation, which holds what rounding lost. */
RS_API int rs_compensated_accumulate(float *target, float *compensation, const float *x, float factor, int64_t count);
/* out = factor x; out may be x. */
RS_API int rs_scale(float *out, const float *x, float factor, int64_t count);
/* out = the bfloat16 nearest to x, ties to even, as float32; NaN stays NaN. out may be x. */
RS_API int rs_round_bfloat16(float *out, const float *x, int64_t count);
/* out = x * (1 + y); out may be y. */
RS_API int rs_multiply_one_plus(float *out, const float *x, const float *y, int64_t count);
/* *sum = sum over `tensors` arrays x[i] of counts[i] elements of their squares, accumulated in float64. */
RS_API int rs_sum_of_squares(double *sum, const float *const *x, const int64_t *counts, int64_t tensors);
/* out [columns] = sum over rows of x (y NULL) or of x * y. */
RS_API int rs_column_sum(float *out, const float *x, const float *y, int64_t rows, int64_t columns);

/* ---- transpose.c ---- */

/* out [columns, rows] = transpose of x [rows, columns]. */
RS_API int rs_transpose(float *out, const float *x, int64_t rows, int64_t columns);

/* ---- widen.c ---- */

/*
 * out = x [rows, columns] as float32, exact, in one pass over both; `transposed`: out is [columns, rows]. x is the host's, bytes
 * of a file in the form `stored` (RS_STORED_*) at an address that suits its elements; when it returns x may change. NaN
 * stays NaN, not with the same bits.
 */
RS_API int rs_widen(float *out, const void *x, int64_t rows, int64_t columns, int stored, int transposed);

/* ---- norm.c ---- */

/* y = x * rstd * gain, rstd [rows] = 1 / sqrt(mean(x^2) + epsilon). */
RS_API int rs_rms_norm(float *y, float *rstd, const float *x, const float *gain, int64_t rows, int64_t width,
                       float epsilon);
/* dx of rs_rms_norm, added to what dx holds where `add` is set; dx may be dy where it is not. */
RS_API int rs_rms_norm_input_gradient(float *dx, const float *dy, const float *x, const float *gain,
                                      const float *rstd, int add, int64_t rows, int64_t width);
/* dgain [width] = sum over rows of dy * x * rstd. */
RS_API int rs_rms_norm_gain_gradient(float *dgain, const float *dy, const float *x, const float *rstd, int64_t rows,
                                     int64_t width);

/* ---- rope.c ---- */

/*
 * Half-split rotation of x [rows, heads * head_dim] by cosine, sine [sequence, head_dim / 2]; the position of a row
 * is row mod sequence. direction +1 rotates, -1 rotates back (the gradient). y may be x.
 */
RS_API int rs_rope(float *y, const float *x, const float *cosine, const float *sine, int64_t rows, int64_t sequence,
                   int64_t heads, int64_t head_dim, float direction);

/* ---- attention.c ---- */

/*
 * Causal attention with grouped queries: q, y [batch * sequence, heads * head_dim],
 * k, v [batch * sequence, key_value_heads * head_dim], log_sum_exp [batch, heads, sequence].
 * A row sees the last `window` positions up to itself; window 0 means all of them.
 */
RS_API int rs_attention(float *y, float *log_sum_exp, const float *q, const float *k, const float *v, int64_t batch,
                        int64_t sequence, int64_t heads, int64_t key_value_heads, int64_t head_dim, int64_t window,
                        float scale);
/* dq, dk, dv of rs_attention, scores recomputed from log_sum_exp. */
RS_API int rs_attention_backward(float *dq, float *dk, float *dv, const float *dy, const float *y,
                                 const float *log_sum_exp, const float *q, const float *k, const float *v,
                                 int64_t batch, int64_t sequence, int64_t heads, int64_t key_value_heads,
                                 int64_t head_dim, int64_t window, float scale);

/* ---- cache.c ---- */

/* target[rows[i]] = x[i] for x [count, width]; a row outside the target is RS_BAD_ARGUMENT. */
RS_API int rs_write_rows(float *target, const int32_t *rows, const float *x, int64_t count, int64_t width,
                         int64_t target_rows);
/*
 * One query per sequence: q, y [batch, heads * head_dim] against rows max(0, length - window) .. length - 1
 * (window 0: from row 0) of keys, values [batch, capacity, key_value_heads * head_dim]; 1 <= length <= capacity.
 */
RS_API int rs_cached_attention(float *y, const float *q, const float *keys, const float *values,
                               const int32_t *lengths, int64_t batch, int64_t capacity, int64_t heads,
                               int64_t key_value_heads, int64_t head_dim, int64_t window, float scale);

/* ---- swiglu.c ---- */

/* y = gate * sigmoid(gate) * up */
RS_API int rs_swiglu(float *y, const float *gate, const float *up, int64_t count);
/* dgate, dup of rs_swiglu; either may be any of the inputs. */
RS_API int rs_swiglu_backward(float *dgate, float *dup, const float *dy, const float *gate, const float *up,
                              int64_t count);

/* ---- cross_entropy.c ---- */

/*
 * *loss = sum_i weights[i] * ce_i with ce_i = logsumexp(head x_i) - (head x_i)[target_i]; rows whose target is
 * -100 count nothing. x [rows, width], head [vocabulary, width]. Logits exist for `chunk` rows at a time,
 * in the scratch memory `logits` [chunk, vocabulary].
 * per_token [rows] gets ce_i (0 where ignored). dx [rows, width] and dhead [vocabulary, width] (NULL: not wanted)
 * get the gradient of *loss. Another target outside the vocabulary is RS_BAD_ARGUMENT.
 */
RS_API int rs_cross_entropy(float *loss, float *per_token, float *dx, float *dhead, float *logits,
                            const float *x, const float *head, const int32_t *targets, const float *weights, int64_t rows,
                            int64_t width, int64_t vocabulary, int64_t chunk);

/* ---- embedding.c ---- */

/* y [rows, width] = table [vocabulary, width] at ids; an id outside the table is RS_BAD_ARGUMENT. */
RS_API int rs_embedding(float *y, const float *table, const int32_t *ids, int64_t rows, int64_t width,
                        int64_t vocabulary);
/* dtable [vocabulary, width] = sum of dy's rows by id (all of it is written). */
RS_API int rs_embedding_backward(float *dtable, const float *dy, const int32_t *ids, int64_t rows, int64_t width,
                                 int64_t vocabulary);

/* ---- adam.c ---- */

/*
 * AdamW as torch has it: g = gradient_factor * gradient; m, v updated;
 * p = p (1 - learning_rate * weight_decay) - learning_rate * m^ / (sqrt(v^) + epsilon), m^, v^ corrected for `step`,
 * which counts from 1.
 */
RS_API int rs_adamw(float *parameter, float *m, float *v, const float *gradient, int64_t count, float learning_rate,
                    float beta1, float beta2, float epsilon, float weight_decay, int64_t step, float gradient_factor);
/* The same step, but delta = -learning_rate * m^ / (sqrt(v^) + epsilon) is handed out and no parameter is touched. */
RS_API int rs_adam_delta(float *delta, float *m, float *v, const float *gradient, int64_t count, float learning_rate,
                         float beta1, float beta2, float epsilon, int64_t step, float gradient_factor);

/* ---- hd_pissa.c ---- */

/*
 * w [m, n] += factor * sum_k (da_k b_k + a_k db_k + second_order * da_k db_k) for a, da [devices, m, rank] and
 * b, db [devices, rank, n], as one product of inner size 2 * devices * rank: [da, a + da] [b; db].
 */
RS_API int rs_hd_pissa_apply(float *w, const float *a, const float *b, const float *da, const float *db,
                             float *scratch, int64_t devices, int64_t m, int64_t n, int64_t rank, float factor, int second_order);

#endif
