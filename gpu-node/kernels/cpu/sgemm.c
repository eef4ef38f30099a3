/*
 * The built-in sgemm, after Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008: op(B) is
 * copied ("packed") into panels as wide as a tile of C, so that the innermost loop reads it in order; op(A) is read
 * as it lies where its rows are contiguous, else packed by strips. Tiles of C stay in registers over the depth.
 *
 * Threads share the rows of C. Every element is summed in the same order whatever the number of threads.
 */
#include "sgemm.h"

#include "common.h"
#include "transpose.h"
#include "vector.h"

/* Columns of a panel of B, and of a tile. */
#define PANEL (3 * LANES)

/* Depth and rows of the block of A that stays in the second-level cache, beside one panel of B; see rs_choose_sgemm(). */
static int64_t block_depth = 768, block_rows = 96;
/* Rows of the parts with which a product ends. */
#define TAIL_ROWS (2 * TILE_ROWS)
/* Floats of B that are packed at once; they stay in the third-level cache. */
#define PACKED_FLOATS 1500000
/* Rows of B that are packed together, so that each is read in runs. */
#define PACKING_ROWS 8

typedef float Strip __attribute__((vector_size(TILE_ROWS * 4), aligned(4)));

/* What is multiplied: element (i, p) of op(A) is a[i * a_row + p * a_depth], likewise b. */
typedef struct {
  const float *a, *b;
  float *c;
  int64_t a_row, a_depth, b_depth, b_column, ldc;
  float alpha;
  /* Room for the panels of b. */
  float *packed;
} Product;

/* The columns and the depth that are worked on at one time. */
typedef struct {
  int64_t column, columns, start, depth;
} Range;

/* One tile of `rows` x (`vectors` registers), constants wherever it is expanded; only `columns` of it are C's. */
static inline __attribute__((always_inline)) void tile(int64_t depth, const float *a, int64_t a_row, int64_t a_depth,
                                                       const float *b, float *c, int64_t ldc, int add, float alpha,
                                                       int64_t columns, int rows, int vectors) {
  Vector sum[TILE_ROWS][3];
  for (int i = 0; i < rows; i++)
    for (int v = 0; v < vectors; v++) {
      sum[i][v] = (Vector){0};
      __builtin_prefetch(c + i * ldc + v * LANES, 1);
    }
  for (int64_t p = 0; p < depth; p++) {
    Vector right[3];
    for (int v = 0; v < vectors; v++) right[v] = *(const Vector *)(b + p * PANEL + v * LANES);
    for (int i = 0; i < rows; i++) {
      float left = a[i * a_row + p * a_depth];
      for (int v = 0; v < vectors; v++) sum[i][v] += left * right[v];
    }
  }
  float edge[PANEL];
  for (int i = 0; i < rows; i++) {
    float *to = columns == vectors * LANES ? c + i * ldc : edge;
    for (int v = 0; v < vectors; v++) {
      Vector *out = (Vector *)(to + v * LANES);
      *out = add && to != edge ? *out + alpha * sum[i][v] : alpha * sum[i][v];
    }
    if (to == edge)
      for (int64_t j = 0; j < columns; j++) c[i * ldc + j] = add ? c[i * ldc + j] + edge[j] : edge[j];
  }
}

/* `rows` rows of C (a constant) under one panel of B. */
static inline __attribute__((always_inline)) void strip(int64_t depth, const float *a, int64_t a_row, int64_t a_depth,
                                                        const float *b, float *c, int64_t ldc, int add, float alpha,
                                                        int64_t columns, int rows) {
  if (columns > 2 * LANES)
    tile(depth, a, a_row, a_depth, b, c, ldc, add, alpha, columns, rows, 3);
  else if (columns > LANES)
    tile(depth, a, a_row, a_depth, b, c, ldc, add, alpha, columns, rows, 2);
  else
    tile(depth, a, a_row, a_depth, b, c, ldc, add, alpha, columns, rows, 1);
}

/* Up to TILE_ROWS rows of C under one panel of B. */
static void strip_of(int64_t rows, int64_t depth, const float *a, int64_t a_row, int64_t a_depth, const float *b,
                     float *c, int64_t ldc, int add, float alpha, int64_t columns) {
  if (rows == TILE_ROWS) {
    strip(depth, a, a_row, a_depth, b, c, ldc, add, alpha, columns, TILE_ROWS);
    return;
  }
  for (; rows >= 2; rows -= 2, a += 2 * a_row, c += 2 * ldc)
    strip(depth, a, a_row, a_depth, b, c, ldc, add, alpha, columns, 2);
  if (rows == 1) strip(depth, a, a_row, a_depth, b, c, ldc, add, alpha, columns, 1);
}

/* Rows start .. start + rows - 1 of `depth` rows of op(B), all columns, into panels `depth` long; B as it lies. */
static void pack_rows(float *packed, const float *b, int64_t ldb, int64_t columns, int64_t depth, int64_t start,
                      int64_t rows) {
  for (int64_t column = 0; column < columns; column += PANEL) {
    int64_t width = rs_min(PANEL, columns - column);
    for (int64_t p = start; p < start + rows; p++) {
      const float *from = b + p * ldb + column;
      float *to = packed + column * depth + p * PANEL;
      if (width == PANEL) {
        for (int v = 0; v < 3; v++) *(Vector *)(to + v * LANES) = *(const Vector *)(from + v * LANES);
      } else {
        memcpy(to, from, (size_t)width * sizeof(float));
        memset(to + width, 0, (size_t)(PANEL - width) * sizeof(float));
      }
    }
  }
}

/* One panel of op(B) = B^T: its columns are rows of B. */
static void pack_transposed(float *packed, const float *b, int64_t ldb, int64_t width, int64_t depth) {
  for (int64_t p = 0; p < depth; p += LANES) {
    int64_t count = rs_min(LANES, depth - p);
    rs_transpose_block(packed + p * PANEL, PANEL, b + p, ldb, width, count);
    if (width < PANEL)
      for (int64_t q = p; q < p + count; q++)
        memset(packed + q * PANEL + width, 0, (size_t)(PANEL - width) * sizeof(float));
  }
}

/* `rows` rows of op(A) = A^T into strips of TILE_ROWS that are `depth` long; the last may be narrower. */
static void pack_strips(float *packed, const float *a, int64_t lda, int64_t rows, int64_t depth) {
  int64_t whole = rows / TILE_ROWS * TILE_ROWS;
  for (int64_t start = 0; start < depth; start += PACKING_ROWS)
    for (int64_t i = 0; i < whole; i += TILE_ROWS)
      for (int64_t p = start; p < rs_min(depth, start + PACKING_ROWS); p++)
        *(Strip *)(packed + i * depth + p * TILE_ROWS) = *(const Strip *)(a + p * lda + i);
  for (int64_t p = 0; p < depth && whole < rows; p++)
    memcpy(packed + whole * depth + p * TILE_ROWS, a + p * lda + whole, (size_t)(rows - whole) * sizeof(float));
}

/* Rows row .. row + rows - 1 of C's columns under the packed panels. */
static void multiply_block(const Product *x, Range range, int64_t row, int64_t rows, int add, float *packed_a) {
  int64_t depth = range.depth, a_row = x->a_row, a_depth = x->a_depth, a_strip = TILE_ROWS * a_row;
  const float *a = x->a + row * a_row + range.start * a_depth;
  if (a_depth != 1) {
    pack_strips(packed_a, a, a_depth, rows, depth);
    a = packed_a;
    a_row = 1;
    a_depth = TILE_ROWS;
    a_strip = TILE_ROWS * depth;
  }
  for (int64_t j = 0; j < range.columns; j += PANEL) {
    int64_t width = rs_min(PANEL, range.columns - j);
    for (int64_t i = 0; i < rows; i += TILE_ROWS) {
      int64_t height = rs_min(TILE_ROWS, rows - i);
      const float *strip_a = a + i / TILE_ROWS * a_strip, *panel = x->packed + j * depth;
      float *c = x->c + (row + i) * x->ldc + range.column + j;
      /* The two ways in which A can lie, apart, so that each has simple addresses. */
      if (a_depth == 1)
        strip_of(height, depth, strip_a, a_row, 1, panel, c, x->ldc, add, x->alpha, width);
      else
        strip_of(height, depth, strip_a, 1, TILE_ROWS, panel, c, x->ldc, add, x->alpha, width);
    }
  }
}

static void scale_matrix(float *c, int64_t ldc, int64_t m, int64_t n, float beta) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) c[i * ldc + j] = beta == 0 ? 0 : beta * c[i * ldc + j];
}

/* Size of a part when `total` is cut into equal parts of at most `most`, rounded up to a `unit`; the number of parts is a
 * multiple of `multiple`. */
static int64_t even_part(int64_t total, int64_t most, int64_t unit, int64_t multiple) {
  int64_t parts = (total + most - 1) / most;
  parts = (parts + multiple - 1) / multiple * multiple;
  return ((total + parts - 1) / parts + unit - 1) / unit * unit;
}

/* The range's part of op(B) into panels; the team shares the work. */
static void pack_b(const Product *x, Range range) {
  int64_t columns = range.columns, depth = range.depth;
  const float *b = x->b + range.column * x->b_column + range.start * x->b_depth;
  if (x->b_depth == 1) {
#pragma omp for schedule(static)
    for (int64_t j = 0; j < columns; j += PANEL)
      pack_transposed(x->packed + j * depth, b + j * x->b_column, x->b_column, rs_min(PANEL, columns - j), depth);
  } else {
#pragma omp for schedule(static)
    for (int64_t p = 0; p < depth; p += PACKING_ROWS)
      pack_rows(x->packed, b, x->b_depth, columns, depth, p, rs_min(PACKING_ROWS, depth - p));
  }
}

/* The same rows of the product and then, while they are in the cache, of the low-rank one if there is one. */
static void multiply_rows(const Product *x, Range range, int add, const Product *low, int64_t rank, int64_t row,
                          int64_t rows, float *packed_a) {
  multiply_block(x, range, row, rows, add, packed_a);
  if (rank > 0) multiply_block(low, (Range){range.column, range.columns, 0, rank}, row, rows, 1, NULL);
}

int rs_builtin_sgemm(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
                     int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc,
                     const LowRank *low_rank) {
  if (m < 1 || n < 1) return RS_OK;
  if (k < 1) {
    scale_matrix(c, ldc, m, n, beta);
    return RS_OK;
  }
  int threads = rs_team(m * n * k, 1000000);
  int64_t depth_part = even_part(k, block_depth, 4, 1), row_part = even_part(m, block_rows, TILE_ROWS, threads);
  int64_t widest = rs_min(n, PACKED_FLOATS / depth_part / PANEL * PANEL), padded = (widest + PANEL - 1) / PANEL * PANEL;
  /* The last part of each thread, cut small: the one that is done first has less to wait for. */
  int64_t tail = threads > 1 ? rs_min(m, threads * row_part) : 0, rank = low_rank == NULL ? 0 : low_rank->rank;
  /* The panels of B and, where A is packed as well, room for each thread's strips: all of it before anything starts. */
  int64_t panels = (depth_part + rank) * padded, strips = transpose_a ? depth_part * row_part : 0;
  float *packed = rs_scratch(panels + threads * strips);
  if (packed == NULL)
    return rs_fail(RS_OUT_OF_MEMORY, "gemm of %lld x %lld x %lld: no memory to pack its operands", (long long)m,
                   (long long)n, (long long)k);
  if (beta != 0 && beta != 1) scale_matrix(c, ldc, m, n, beta);
  Product x = {a, b, c, transpose_a ? 1 : lda, transpose_a ? lda : 1, transpose_b ? 1 : ldb, transpose_b ? ldb : 1, ldc,
               alpha, packed};
  Product low = {0};
  if (rank > 0) {
    int t = low_rank->transposed;
    low = (Product){low_rank->left, low_rank->right, c, rank, 1, t ? 1 : n, t ? rank : 1, ldc, low_rank->scale,
                    packed + depth_part * padded};
  }
#pragma omp parallel num_threads(threads)
  {
    float *packed_a = transpose_a ? packed + panels + rs_thread_number() * strips : NULL;
    for (int64_t column = 0; column < n; column += widest)
      for (int64_t start = 0; start < k; start += depth_part) {
        Range range = {column, rs_min(widest, n - column), start, rs_min(depth_part, k - start)};
        int add = start > 0 || beta != 0;
        /* After the last part of the depth. */
        int64_t low_depth = start + range.depth == k ? rank : 0;
        if (low_depth > 0) pack_b(&low, (Range){column, range.columns, 0, rank});
        pack_b(&x, range);
#pragma omp for schedule(dynamic) nowait
        for (int64_t row = 0; row < m - tail; row += row_part)
          multiply_rows(&x, range, add, &low, low_depth, row, rs_min(row_part, m - tail - row), packed_a);
#pragma omp for schedule(dynamic)
        for (int64_t row = m - tail; row < m; row += TAIL_ROWS)
          multiply_rows(&x, range, add, &low, low_depth, row, rs_min(TAIL_ROWS, m - row), packed_a);
      }
  }
  rs_scratch_free(packed);
  return RS_OK;
}

static int builtin_first = RS_BUILTIN_FIRST;

int rs_builtin_is_first(void) { return builtin_first; }

int rs_choose_sgemm(int builtin, int64_t depth, int64_t rows) {
#if !defined(RS_OPENBLAS)
  if (!builtin) return rs_fail(RS_BAD_ARGUMENT, "there is no OpenBLAS to choose");
#endif
  if ((depth != 0 && (depth < 16 || depth > 4096)) || (rows != 0 && (rows < 16 || rows > 4096)))
    return rs_fail(RS_BAD_ARGUMENT, "blocks of %lld x %lld", (long long)rows, (long long)depth);
  builtin_first = builtin != 0;
  if (depth != 0) block_depth = depth;
  if (rows != 0) block_rows = rows;
  return RS_OK;
}
