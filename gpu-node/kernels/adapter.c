/*
 * Gradients of a low-rank adapter a [m, r], b [r, n] from x [rows, m] and dy [rows, n]:
 *
 *   u = scale dy b^T [rows, r]    t = x a [rows, r]    da = x^T u    db = scale t^T dy
 *
 * Four products with one small side each: as separate products each would read x or dy from main memory and spend its
 * time on copying operands. Here a block of rows of x and dy stays in the cache for all four.
 */
#include "common.h"
#include "vector.h"

/* Rows that are worked on at once; with 1,024 columns x and dy take half a megabyte. */
#define BLOCK_ROWS 64
/* Tile of a sum in registers. */
#define TILE_ROWS 8
#define TILE_VECTORS 3

/* Above this rank ordinary products are as good. */
#define LARGEST_RANK 64

/* out[rows, width] = x[rows, depth] packed[depth, width], width a multiple of LANES, for exactly `rows` rows. */
static inline __attribute__((always_inline)) void project_rows(float *out, const float *x, int64_t depth,
                                                               int64_t stride, const float *packed, int64_t width,
                                                               int rows) {
  for (int64_t column = 0; column < width; column += LANES) {
    Vector sum[TILE_ROWS];
    for (int i = 0; i < rows; i++) sum[i] = (Vector){0};
    for (int64_t p = 0; p < depth; p++) {
      Vector right = load(packed + p * width + column);
#pragma GCC unroll 8
      for (int i = 0; i < rows; i++) sum[i] += x[i * stride + p] * right;
    }
    for (int i = 0; i < rows; i++) store(out + i * width + column, sum[i]);
  }
}

static void project(float *out, const float *x, int64_t rows, int64_t depth, const float *packed, int64_t width) {
  int64_t i = 0;
  for (; i + TILE_ROWS <= rows; i += TILE_ROWS)
    project_rows(out + i * width, x + i * depth, depth, depth, packed, width, TILE_ROWS);
  for (; i < rows; i++) project_rows(out + i * width, x + i * depth, depth, depth, packed, width, 1);
}

/* out[i0 .. i0+ranks, j0 .. j0+vectors] += sum over rows of left[row, i] right[row, j], sizes known when compiled. */
static inline __attribute__((always_inline)) void outer_tile(float *out, const float *left, int64_t left_width,
                                                             const float *right, int64_t width, int64_t rows,
                                                             int ranks, int vectors) {
  Vector sum[TILE_ROWS][TILE_VECTORS];
  for (int i = 0; i < ranks; i++)
    for (int v = 0; v < vectors; v++) sum[i][v] = load(out + i * width + v * LANES);
  for (int64_t row = 0; row < rows; row++) {
    Vector r[TILE_VECTORS];
    for (int v = 0; v < vectors; v++) r[v] = load(right + row * width + v * LANES);
#pragma GCC unroll 8
    for (int i = 0; i < ranks; i++) {
      float l = left[row * left_width + i];
      for (int v = 0; v < vectors; v++) sum[i][v] += l * r[v];
    }
  }
  for (int i = 0; i < ranks; i++)
    for (int v = 0; v < vectors; v++) store(out + i * width + v * LANES, sum[i][v]);
}

/* One band of `ranks` rows of out[., width] += left[rows, left_width]^T right[rows, width]. */
static inline __attribute__((always_inline)) void outer_band(float *out, const float *left, int64_t left_width,
                                                             const float *right, int64_t width, int64_t rows,
                                                             int ranks) {
  int64_t j = 0;
  for (; j + TILE_VECTORS * LANES <= width; j += TILE_VECTORS * LANES)
    outer_tile(out + j, left, left_width, right + j, width, rows, ranks, TILE_VECTORS);
  for (; j + LANES <= width; j += LANES) outer_tile(out + j, left, left_width, right + j, width, rows, ranks, 1);
  for (; j < width; j++)
    for (int i = 0; i < ranks; i++)
      for (int64_t row = 0; row < rows; row++)
        out[i * width + j] += left[row * left_width + i] * right[row * width + j];
}

static void outer(float *out, const float *left, int64_t left_width, const float *right, int64_t width, int64_t rows,
                  int64_t rank) {
  int64_t i = 0;
  for (; i + TILE_ROWS <= rank; i += TILE_ROWS)
    outer_band(out + i * width, left + i, left_width, right, width, rows, TILE_ROWS);
  for (; i < rank; i++) outer_band(out + i * width, left + i, left_width, right, width, rows, 1);
}

/* to[columns, padded] = factor * from[rows, columns]^T, zeros in the padding. */
static void transpose_padded(float *to, const float *from, int64_t rows, int64_t columns, int64_t padded,
                             float factor) {
  for (int64_t j = 0; j < columns; j++) {
    for (int64_t i = 0; i < rows; i++) to[j * padded + i] = factor * from[i * columns + j];
    for (int64_t i = rows; i < padded; i++) to[j * padded + i] = 0;
  }
}

/* to[rows, padded] = from[rows, columns], zeros in the padding. */
static void copy_padded(float *to, const float *from, int64_t rows, int64_t columns, int64_t padded) {
  for (int64_t i = 0; i < rows; i++) {
    memcpy(to + i * padded, from + i * columns, (size_t)columns * sizeof(float));
    memset(to + i * padded + columns, 0, (size_t)(padded - columns) * sizeof(float));
  }
}

/* The rows of one device, or a part of them, with scratch memory of its own. */
typedef struct {
  int64_t rows, m, n, rank, padded;
  float scale;
  float *packed_a, *packed_b, *t, *u, *da_transposed;
} Part;

static int64_t part_scratch(int64_t m, int64_t n, int64_t rank, int64_t padded) {
  return padded * (m + n) + 2 * BLOCK_ROWS * padded + rank * m;
}

/* db[rank, n] and part->da_transposed[rank, m] = the sums over the part's rows; u_out [rows, rank] may be NULL. */
static void part_gradients(const Part *part, float *db, float *u_out, const float *x, const float *dy, const float *a,
                           const float *b) {
  int64_t m = part->m, n = part->n, rank = part->rank, padded = part->padded;
  copy_padded(part->packed_a, a, m, rank, padded);
  transpose_padded(part->packed_b, b, rank, n, padded, part->scale);
  memset(part->da_transposed, 0, (size_t)(rank * m) * sizeof(float));
  memset(db, 0, (size_t)(rank * n) * sizeof(float));
  for (int64_t start = 0; start < part->rows; start += BLOCK_ROWS) {
    int64_t rows = rs_min(BLOCK_ROWS, part->rows - start);
    const float *x_block = x + start * m, *dy_block = dy + start * n;
    project(part->t, x_block, rows, m, part->packed_a, padded);
    for (int64_t i = 0; i < rows * padded; i++) part->t[i] *= part->scale;
    project(part->u, dy_block, rows, n, part->packed_b, padded);
    outer(db, part->t, padded, dy_block, n, rows, rank);
    outer(part->da_transposed, part->u, padded, x_block, m, rows, rank);
    if (u_out != NULL)
      for (int64_t i = 0; i < rows; i++)
        memcpy(u_out + (start + i) * rank, part->u + i * padded, (size_t)rank * sizeof(float));
  }
}

/* da[m, rank], db[rank, n] of a device = the sums of its parts, in order. */
static void join_parts(float *da, float *db, const float *da_transposed, const float *db_parts, int64_t da_stride,
                       int64_t db_stride, int64_t parts, int64_t m, int64_t n, int64_t rank) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < rank; j++) {
      float sum = 0;
      for (int64_t part = 0; part < parts; part++) sum += da_transposed[part * da_stride + j * m + i];
      da[i * rank + j] = sum;
    }
  for (int64_t i = 0; i < rank * n; i++) {
    float sum = 0;
    for (int64_t part = 0; part < parts; part++) sum += db_parts[part * db_stride + i];
    db[i] = sum;
  }
}

/* The same by ordinary products. */
static int gradients_by_products(float *da, float *db, float *u_out, const float *x, const float *dy, const float *a,
                                 const float *b, int64_t devices, int64_t rows, int64_t m, int64_t n, int64_t rank,
                                 float scale) {
  int64_t share = rows / devices;
  float *scratch = rs_scratch(2 * rows * rank);
  if (scratch == NULL) return rs_fail(RS_OUT_OF_MEMORY, "adapter gradients: no memory for %lld rows", (long long)rows);
  float *u = u_out == NULL ? scratch : u_out, *t = scratch + rows * rank;
  rs_gemm(0, 1, share, rank, n, scale, dy, n, b, n, 0, u, rank, devices, share * n, rank * n, share * rank);
  rs_gemm(0, 0, share, rank, m, 1, x, m, a, rank, 0, t, rank, devices, share * m, m * rank, share * rank);
  rs_gemm(1, 0, m, rank, share, 1, x, m, u, rank, 0, da, rank, devices, share * m, share * rank, m * rank);
  rs_gemm(1, 0, rank, n, share, scale, t, rank, dy, n, 0, db, n, devices, share * rank, share * n, rank * n);
  free(scratch);
  return RS_OK;
}

int rs_adapter_gradients(float *da, float *db, float *u, const float *x, const float *dy, const float *a,
                         const float *b, int64_t devices, int64_t rows, int64_t m, int64_t n, int64_t rank,
                         float scale) {
  if (devices < 1 || rows % devices != 0)
    return rs_fail(RS_BAD_ARGUMENT, "%lld rows for %lld devices", (long long)rows, (long long)devices);
  if (rank > LARGEST_RANK) return gradients_by_products(da, db, u, x, dy, a, b, devices, rows, m, n, rank, scale);
  int64_t share = rows / devices, padded = (rank + LANES - 1) / LANES * LANES;
  int threads = rs_team(rows * (m + n), RS_STREAM_GRAIN);
  /* Parts of a device only as far as threads would be idle otherwise. */
  int64_t parts = rs_min((threads + devices - 1) / devices, rs_max(1, share / BLOCK_ROWS));
  int64_t part_rows = (share + parts - 1) / parts, each = part_scratch(m, n, rank, padded), tasks = devices * parts;
  float *scratch = rs_scratch(tasks * (each + rank * n));
  if (scratch == NULL) return rs_fail(RS_OUT_OF_MEMORY, "adapter gradients: no memory for %lld rows", (long long)rows);
  float *db_parts = scratch + tasks * each;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t task = 0; task < tasks; task++) {
    int64_t device = task / parts, start = task % parts * part_rows, row = device * share + start;
    float *own = scratch + task * each;
    Part part = {rs_min(part_rows, share - start), m, n, rank, padded, scale, own, own + padded * m, NULL, NULL, NULL};
    part.t = part.packed_b + padded * n;
    part.u = part.t + BLOCK_ROWS * padded;
    part.da_transposed = part.u + BLOCK_ROWS * padded;
    part_gradients(&part, db_parts + task * rank * n, u == NULL ? NULL : u + row * rank, x + row * m, dy + row * n,
                   a + device * m * rank, b + device * rank * n);
  }
#pragma omp parallel for schedule(static) num_threads(devices > 1 ? threads : 1)
  for (int64_t device = 0; device < devices; device++)
    join_parts(da + device * m * rank, db + device * rank * n,
               scratch + device * parts * each + each - rank * m, db_parts + device * parts * rank * n, each, rank * n,
               parts, m, n, rank);
  free(scratch);
  return RS_OK;
}
