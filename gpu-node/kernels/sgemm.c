/*
 * The built-in sgemm: blocks of A and B are copied ("packed") into the order in which a register-sized
 * micro-kernel reads them, as in Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008.
 * It reaches about two thirds of OpenBLAS on large shapes.
 */
#include "sgemm.h"

#include "common.h"
#include "vector.h"

/* Rows of the micro-kernel's tile of C: its sums fill the vector registers. */
#if LANES == 16
#define TILE_ROWS 14
#elif LANES == 8
#define TILE_ROWS 6
#else
#define TILE_ROWS 4
#endif
#define TILE_COLUMNS (2 * LANES)

/* Blocks that fit the caches: depth of both panels, rows of A's block (second level), columns of B's (third). */
#define BLOCK_DEPTH 384
#define BLOCK_ROWS (TILE_ROWS * 12)
#define BLOCK_COLUMNS 2048

/* C tile [rows, columns] = alpha * (packed A tile) (packed B tile) + beta * C tile. */
static void multiply_tile(int64_t depth, const float *a, const float *b, float *c, int64_t ldc, int64_t rows,
                          int64_t columns, float alpha, float beta) {
  Vector left[TILE_ROWS], right[TILE_ROWS];
  for (int i = 0; i < TILE_ROWS; i++) {
    left[i] = (Vector){0};
    right[i] = (Vector){0};
  }
  for (int64_t p = 0; p < depth; p++) {
    Vector b_left = load(b), b_right = load(b + LANES);
#pragma GCC unroll 16
    for (int i = 0; i < TILE_ROWS; i++) {
      left[i] += a[i] * b_left;
      right[i] += a[i] * b_right;
    }
    a += TILE_ROWS;
    b += TILE_COLUMNS;
  }
  float tile[TILE_ROWS * TILE_COLUMNS];
  for (int i = 0; i < TILE_ROWS; i++) {
    store(tile + i * TILE_COLUMNS, alpha * left[i]);
    store(tile + i * TILE_COLUMNS + LANES, alpha * right[i]);
  }
  for (int64_t i = 0; i < rows; i++) {
    float *out = c + i * ldc;
    const float *sum = tile + i * TILE_COLUMNS;
    if (beta == 0) {
      for (int64_t j = 0; j < columns; j++) out[j] = sum[j];
    } else {
      for (int64_t j = 0; j < columns; j++) out[j] = beta * out[j] + sum[j];
    }
  }
}

/*
 * Packs `count` lines of a matrix, each `depth` long, side by side in groups of `width`; element p of line j is at
 * source[j * line_stride + p * depth_stride]. Missing lines of the group are zero.
 */
static void pack_group(float *packed, const float *source, int64_t line_stride, int64_t depth_stride, int64_t count,
                       int64_t depth, int64_t width) {
  for (int64_t p = 0; p < depth; p++) {
    for (int64_t j = 0; j < count; j++) packed[p * width + j] = source[j * line_stride + p * depth_stride];
    for (int64_t j = count; j < width; j++) packed[p * width + j] = 0;
  }
}

static void scale_matrix(float *c, int64_t ldc, int64_t m, int64_t n, float beta) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) c[i * ldc + j] = beta == 0 ? 0 : beta * c[i * ldc + j];
}

void rs_builtin_sgemm(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
                      int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
  if (m < 1 || n < 1) return;
  if (k < 1) {
    scale_matrix(c, ldc, m, n, beta);
    return;
  }
  int64_t a_row = transpose_a ? 1 : lda, a_depth = transpose_a ? lda : 1;
  int64_t b_column = transpose_b ? ldb : 1, b_depth = transpose_b ? 1 : ldb;
  int64_t widest = (rs_min(n, BLOCK_COLUMNS) + TILE_COLUMNS - 1) / TILE_COLUMNS * TILE_COLUMNS;
  float *packed_b = rs_scratch(BLOCK_DEPTH * widest);
#pragma omp parallel num_threads(rs_team(m * n * k, 1000000))
  {
    float *packed_a = rs_scratch(BLOCK_ROWS * BLOCK_DEPTH);
    for (int64_t column = 0; column < n; column += BLOCK_COLUMNS) {
      int64_t columns = rs_min(BLOCK_COLUMNS, n - column), groups = (columns + TILE_COLUMNS - 1) / TILE_COLUMNS;
      for (int64_t start = 0; start < k; start += BLOCK_DEPTH) {
        int64_t depth = rs_min(BLOCK_DEPTH, k - start);
        float keep = start == 0 ? beta : 1;
#pragma omp for schedule(static)
        for (int64_t group = 0; group < groups; group++)
          pack_group(packed_b + group * TILE_COLUMNS * depth,
                     b + (column + group * TILE_COLUMNS) * b_column + start * b_depth, b_column, b_depth,
                     rs_min(TILE_COLUMNS, columns - group * TILE_COLUMNS), depth, TILE_COLUMNS);
#pragma omp for schedule(dynamic)
        for (int64_t row = 0; row < m; row += BLOCK_ROWS) {
          int64_t rows = rs_min(BLOCK_ROWS, m - row);
          for (int64_t i = 0; i < rows; i += TILE_ROWS)
            pack_group(packed_a + i * depth, a + (row + i) * a_row + start * a_depth, a_row, a_depth,
                       rs_min(TILE_ROWS, rows - i), depth, TILE_ROWS);
          for (int64_t group = 0; group < groups; group++)
            for (int64_t i = 0; i < rows; i += TILE_ROWS)
              multiply_tile(depth, packed_a + i * depth, packed_b + group * TILE_COLUMNS * depth,
                            c + (row + i) * ldc + column + group * TILE_COLUMNS, ldc, rs_min(TILE_ROWS, rows - i),
                            rs_min(TILE_COLUMNS, columns - group * TILE_COLUMNS), alpha, keep);
        }
      }
    }
    free(packed_a);
  }
  free(packed_b);
}
