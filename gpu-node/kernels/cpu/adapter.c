/*
 * Gradients of a low-rank adapter a [m, r], b [r, n] from x [rows, m] and dy [rows, n]:
 *
 *   u = scale dy b^T [rows, r]    t = x a [rows, r]    da = x^T u    db = scale t^T dy
 *
 * Four products with one small side each: as separate products each would read x or dy from main memory and spend its
 * time on copying operands. Here a block of rows of x and dy stays in the cache for all four.
 */
#include "common.h"
#include "tile_gemm.h"
#include "transpose.h"
#include "vector.h"

/* Rows that are worked on at once; with 1,024 columns x and dy take half a megabyte. */
#define BLOCK_ROWS 64
/* Above this rank ordinary products are as good. */
#define LARGEST_RANK 64

/* to[columns, padded] = from[rows, columns]^T, zeros in the padding. */
static void transpose_padded(float *to, const float *from, int64_t rows, int64_t columns, int64_t padded) {
  rs_transpose_block(to, padded, from, columns, rows, columns);
  if (padded > rows)
    for (int64_t j = 0; j < columns; j++) memset(to + j * padded + rows, 0, (size_t)(padded - rows) * sizeof(float));
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
  transpose_padded(part->packed_b, b, rank, n, padded);
  memset(part->da_transposed, 0, (size_t)(rank * m) * sizeof(float));
  memset(db, 0, (size_t)(rank * n) * sizeof(float));
  for (int64_t start = 0; start < part->rows; start += BLOCK_ROWS) {
    int64_t rows = rs_min(BLOCK_ROWS, part->rows - start);
    const float *x_block = x + start * m, *dy_block = dy + start * n;
    rs_tile_gemm(rows, padded, m, part->scale, x_block, m, 1, part->packed_a, padded, 0, part->t, padded);
    rs_tile_gemm(rows, padded, n, part->scale, dy_block, n, 1, part->packed_b, padded, 0, part->u, padded);
    rs_tile_gemm(rank, n, rows, 1, part->t, 1, padded, dy_block, n, 1, db, n);
    rs_tile_gemm(rank, m, rows, 1, part->u, 1, padded, x_block, m, 1, part->da_transposed, m);
    if (u_out != NULL)
      for (int64_t i = 0; i < rows; i++)
        memcpy(u_out + (start + i) * rank, part->u + i * padded, (size_t)rank * sizeof(float));
  }
}

/* The first of `parts` arrays of `count` floats, `stride` apart, becomes the sum of all, in order. */
static void sum_parts(float *first, int64_t stride, int64_t parts, int64_t count) {
  for (int64_t part = 1; part < parts; part++)
    for (int64_t i = 0; i < count; i++) first[i] += first[part * stride + i];
}

/* The same by ordinary products. */
static int gradients_by_products(float *da, float *db, float *u_out, const float *x, const float *dy, const float *a,
                                 const float *b, int64_t devices, int64_t rows, int64_t m, int64_t n, int64_t rank,
                                 float scale) {
  int64_t share = rows / devices;
  float *scratch = rs_scratch(2 * rows * rank);
  if (scratch == NULL) return rs_fail(RS_OUT_OF_MEMORY, "adapter gradients: no memory for %lld rows", (long long)rows);
  float *u = u_out == NULL ? scratch : u_out, *t = scratch + rows * rank;
  int status = rs_gemm(0, 1, share, rank, n, scale, dy, n, b, n, 0, u, rank, devices, share * n, rank * n, share * rank);
  if (status == RS_OK)
    status = rs_gemm(0, 0, share, rank, m, 1, x, m, a, rank, 0, t, rank, devices, share * m, m * rank, share * rank);
  if (status == RS_OK)
    status = rs_gemm(1, 0, m, rank, share, 1, x, m, u, rank, 0, da, rank, devices, share * m, share * rank, m * rank);
  if (status == RS_OK)
    status = rs_gemm(1, 0, rank, n, share, scale, t, rank, dy, n, 0, db, n, devices, share * rank, share * n, rank * n);
  rs_scratch_free(scratch);
  return status;
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
#pragma omp parallel num_threads(threads)
  {
#pragma omp for schedule(static)
    for (int64_t task = 0; task < tasks; task++) {
      int64_t device = task / parts, start = task % parts * part_rows, row = device * share + start;
      Part part = {.m = m, .n = n, .rank = rank, .padded = padded, .scale = scale};
      part.rows = rs_min(part_rows, share - start);
      part.packed_a = scratch + task * each;
      part.packed_b = part.packed_a + padded * m;
      part.t = part.packed_b + padded * n;
      part.u = part.t + BLOCK_ROWS * padded;
      part.da_transposed = part.u + BLOCK_ROWS * padded;
      part_gradients(&part, parts == 1 ? db + device * rank * n : db_parts + task * rank * n,
                     u == NULL ? NULL : u + row * rank, x + row * m, dy + row * n, a + device * m * rank,
                     b + device * rank * n);
    }
#pragma omp for schedule(static)
    for (int64_t device = 0; device < devices; device++) {
      float *da_transposed = scratch + device * parts * each + each - rank * m;
      float *db_first = db_parts + device * parts * rank * n;
      sum_parts(da_transposed, each, parts, rank * m);
      rs_transpose_block(da + device * m * rank, rank, da_transposed, m, rank, m);
      if (parts == 1) continue;
      sum_parts(db_first, rank * n, parts, rank * n);
      memcpy(db + device * rank * n, db_first, (size_t)(rank * n) * sizeof(float));
    }
  }
  rs_scratch_free(scratch);
  return RS_OK;
}
