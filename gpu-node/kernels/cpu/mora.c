/*
 * MoRA (arXiv 2405.12130): a square matrix q [size, size] between a compression C of the inputs and an expansion D to
 * the outputs, y = D(C(x) q), and its gradients.
 *
 *   sharing (no tables):  x is repeated to whole blocks of `size` columns and the blocks are added up
 *   rotation:  block i is rotated by row i of the tables; all blocks go through q and stand side by side
 *
 * D repeats or cuts the columns. A block of rows stays in the cache from C to D.
 */
#include "common.h"

#define BLOCK_ROWS 64

typedef struct {
  int64_t inputs, outputs, size;
  /* Blocks a row that reach an output, columns of all of them, and columns of x, repeated, that they are made of. */
  int64_t blocks, width, read;
  /* [blocks, size / 2], NULL where blocks are added up. */
  const float *cosine, *sine;
  /* Whether what is multiplied is rounded to bfloat16 first. */
  int bfloat16;
} Map;

static Map describe(int64_t inputs, int64_t outputs, int64_t size, const float *cosine, const float *sine,
                    int bfloat16) {
  int64_t of_input = (inputs + size - 1) / size, of_output = (outputs + size - 1) / size;
  int64_t blocks = cosine == NULL ? 1 : rs_min(of_input, of_output);
  int64_t read = cosine == NULL ? of_input * size : blocks * size;
  return (Map){inputs, outputs, size, blocks, blocks * size, read, cosine, sine, bfloat16};
}

/* to[c mod to_width] += from[c mod from_width] for all c < count */
static void add_wrapped(float *restrict to, int64_t to_width, const float *restrict from, int64_t from_width,
                        int64_t count) {
  for (int64_t start = 0, i = 0, j = 0; start < count;) {
    int64_t length = rs_min(count - start, rs_min(to_width - i, from_width - j));
#pragma omp simd
    for (int64_t c = 0; c < length; c++) to[i + c] += from[j + c];
    start += length;
    i = i + length == to_width ? 0 : i + length;
    j = j + length == from_width ? 0 : j + length;
  }
}

/* Each block of each row by its angle, in place; direction -1 rotates back. */
static void rotate(const Map *map, float *z, int64_t rows, float direction) {
  if (map->cosine == NULL) return;
  int64_t half = map->size / 2;
  for (int64_t block = 0; block < rows * map->blocks; block++) {
    float *first = z + block * map->size, *second = first + half;
    const float *cosine = map->cosine + block % map->blocks * half, *sine = map->sine + block % map->blocks * half;
#pragma omp simd
    for (int64_t j = 0; j < half; j++) {
      float a = first[j], b = second[j], s = direction * sine[j];
      first[j] = a * cosine[j] - b * s;
      second[j] = b * cosine[j] + a * s;
    }
  }
}

/* z [rows, width] as an operand of a product. */
static void round_operand(const Map *map, float *z, int64_t rows) {
  if (!map->bfloat16) return;
  int64_t count = rows * map->width;
#pragma omp simd
  for (int64_t i = 0; i < count; i++) z[i] = rs_bfloat16(z[i]);
}

/* z [rows, width] = C(x) */
static void compress(const Map *map, float *z, const float *x, int64_t rows) {
  memset(z, 0, (size_t)(rows * map->width) * sizeof(float));
  for (int64_t row = 0; row < rows; row++)
    add_wrapped(z + row * map->width, map->width, x + row * map->inputs, map->inputs, map->read);
  rotate(map, z, rows, 1);
  round_operand(map, z, rows);
}

/* dx += the transpose of C, of dz, over which it writes */
static void add_compress_transposed(const Map *map, float *dx, float *dz, int64_t rows) {
  rotate(map, dz, rows, -1);
  for (int64_t row = 0; row < rows; row++)
    add_wrapped(dx + row * map->inputs, map->inputs, dz + row * map->width, map->width, map->read);
}

/* y += D(t) */
static void add_expand(const Map *map, float *y, const float *t, int64_t rows) {
  for (int64_t row = 0; row < rows; row++)
    add_wrapped(y + row * map->outputs, map->outputs, t + row * map->width, map->width, map->outputs);
}

/* u [rows, width] = the transpose of D, of dy */
static void expand_transposed(const Map *map, float *u, const float *dy, int64_t rows) {
  memset(u, 0, (size_t)(rows * map->width) * sizeof(float));
  for (int64_t row = 0; row < rows; row++)
    add_wrapped(u + row * map->width, map->width, dy + row * map->outputs, map->outputs, map->outputs);
  round_operand(map, u, rows);
}

/* out (+)= D(C(in) q), or with `transposed` the transpose of that map. */
static int apply(const Map *map, float *out, const float *in, const float *square, int64_t rows, int add,
                 int transposed) {
  int threads = rs_team(rows * (map->inputs + map->outputs), RS_STREAM_GRAIN);
  int64_t in_width = transposed ? map->outputs : map->inputs, out_width = transposed ? map->inputs : map->outputs;
  int64_t each = 2 * BLOCK_ROWS * map->width;
  float *scratch = rs_scratch(threads * each);
  if (scratch == NULL) return rs_fail(RS_OUT_OF_MEMORY, "mora: no memory for blocks of %lld", (long long)map->width);
  int status = RS_OK;
  rs_enter_parallel_gemm();
#pragma omp parallel for schedule(static) num_threads(threads) reduction(max : status)
  for (int64_t start = 0; start < rows; start += BLOCK_ROWS) {
    int64_t count = rs_min(BLOCK_ROWS, rows - start);
    float *before = scratch + rs_thread_number() * each, *after = before + BLOCK_ROWS * map->width;
    float *out_block = out + start * out_width;
    const float *in_block = in + start * in_width;
    if (!add) memset(out_block, 0, (size_t)(count * out_width) * sizeof(float));
    (transposed ? expand_transposed : compress)(map, before, in_block, count);
    int product = rs_sgemm(0, transposed, count * map->blocks, map->size, map->size, 1, before, map->size, square,
                           map->size, 0, after, map->size);
    status = (int)rs_max(status, product);
    if (product != RS_OK) continue;
    if (transposed)
      add_compress_transposed(map, out_block, after, count);
    else
      add_expand(map, out_block, after, count);
  }
  rs_leave_parallel_gemm();
  rs_scratch_free(scratch);
  return rs_team_failed(status);
}

int rs_mora_map(float *y, const float *x, const float *square, const float *cosine, const float *sine, int64_t rows,
                int64_t inputs, int64_t outputs, int64_t size, int add, int bfloat16) {
  Map map = describe(inputs, outputs, size, cosine, sine, bfloat16);
  return apply(&map, y, x, square, rows, add, 0);
}

int rs_mora_input_gradient(float *dx, const float *dy, const float *square, const float *cosine, const float *sine,
                           int64_t rows, int64_t inputs, int64_t outputs, int64_t size, int add, int bfloat16) {
  Map map = describe(inputs, outputs, size, cosine, sine, bfloat16);
  return apply(&map, dx, dy, square, rows, add, 1);
}

int rs_mora_square_gradient(float *dsquare, const float *x, const float *dy, const float *cosine, const float *sine,
                            int64_t rows, int64_t inputs, int64_t outputs, int64_t size, int bfloat16) {
  Map map = describe(inputs, outputs, size, cosine, sine, bfloat16);
  int64_t parts = rs_min(rs_team(rows * (inputs + outputs), RS_STREAM_GRAIN), (rows + BLOCK_ROWS - 1) / BLOCK_ROWS);
  int64_t part_rows = (rows + parts - 1) / parts, square_size = size * size;
  int64_t each = 2 * BLOCK_ROWS * map.width + square_size;
  float *scratch = rs_scratch(parts * each);
  if (scratch == NULL) return rs_fail(RS_OUT_OF_MEMORY, "mora: no memory for blocks of %lld", (long long)map.width);
  int status = RS_OK;
  rs_enter_parallel_gemm();
#pragma omp parallel for schedule(static) num_threads((int)parts) reduction(max : status)
  for (int64_t part = 0; part < parts; part++) {
    float *sum = scratch + part * each, *z = sum + square_size, *u = z + BLOCK_ROWS * map.width;
    int64_t end = rs_min(rows, (part + 1) * part_rows);
    memset(sum, 0, (size_t)square_size * sizeof(float));
    for (int64_t start = part * part_rows; start < end; start += BLOCK_ROWS) {
      int64_t count = rs_min(BLOCK_ROWS, end - start);
      compress(&map, z, x + start * inputs, count);
      expand_transposed(&map, u, dy + start * outputs, count);
      int product = rs_sgemm(1, 0, size, size, count * map.blocks, 1, z, size, u, size, 1, sum, size);
      status = (int)rs_max(status, product);
    }
  }
  rs_leave_parallel_gemm();
  memcpy(dsquare, scratch, (size_t)square_size * sizeof(float));
  for (int64_t part = 1; part < parts; part++)
    for (int64_t i = 0; i < square_size; i++) dsquare[i] += scratch[part * each + i];
  rs_scratch_free(scratch);
  return rs_team_failed(status);
}
