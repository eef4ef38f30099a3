/*
 * Products of small matrices as they lie: a tile of c stays in registers while the depth is walked. For the blocks of
 * attention and of low-rank adapters copying operands, as a general sgemm does, costs as much as the product.
 */
#include "tile_gemm.h"

#include "common.h"
#include "vector.h"

typedef struct {
  int64_t k, a_row, a_depth, ldb, ldc;
  float alpha;
  int add;
} Shape;

/* One tile of `rows` x (`count` values of TYPE); both are constants wherever it is expanded. */
#define DEFINE_TILE(NAME, TYPE, WIDTH)                                                                       \
  static inline __attribute__((always_inline)) void NAME(const Shape *s, const float *a, const float *b,    \
                                                         float *c, int rows, int count) {                   \
    TYPE sum[TILE_ROWS][3];                                                                                  \
    for (int i = 0; i < rows; i++)                                                                           \
      for (int v = 0; v < count; v++) sum[i][v] = (TYPE){0};                                                 \
    for (int64_t p = 0; p < s->k; p++) {                                                                     \
      TYPE right[3];                                                                                         \
      for (int v = 0; v < count; v++) right[v] = *(const TYPE *)(b + p * s->ldb + v * WIDTH);                \
      for (int i = 0; i < rows; i++) {                                                                       \
        float left = a[i * s->a_row + p * s->a_depth];                                                       \
        for (int v = 0; v < count; v++) sum[i][v] += left * right[v];                                        \
      }                                                                                                      \
    }                                                                                                        \
    for (int i = 0; i < rows; i++)                                                                           \
      for (int v = 0; v < count; v++) {                                                                      \
        TYPE *out = (TYPE *)(c + i * s->ldc + v * WIDTH);                                                    \
        *out = s->add ? *out + s->alpha * sum[i][v] : s->alpha * sum[i][v];                                  \
      }                                                                                                      \
  }

DEFINE_TILE(vector_tile, Vector, LANES)
DEFINE_TILE(quad_tile, Quad, 4)
DEFINE_TILE(scalar_tile, float, 1)

/* All columns for a constant number of rows. */
static inline __attribute__((always_inline)) void strip(const Shape *s, const float *a, const float *b, float *c,
                                                        int64_t n, int rows) {
  int64_t j = 0, vectors = n / LANES;
  while (vectors > 0) {
    /* Three at a time, but four as two and two. */
    if (vectors >= 3 && vectors != 4) {
      vector_tile(s, a, b + j, c + j, rows, 3);
      vectors -= 3;
      j += 3 * LANES;
    } else if (vectors >= 2) {
      vector_tile(s, a, b + j, c + j, rows, 2);
      vectors -= 2;
      j += 2 * LANES;
    } else {
      vector_tile(s, a, b + j, c + j, rows, 1);
      vectors -= 1;
      j += LANES;
    }
  }
  for (; j + 4 <= n; j += 4) quad_tile(s, a, b + j, c + j, rows, 1);
  for (; j < n; j++) scalar_tile(s, a, b + j, c + j, rows, 1);
}

void rs_tile_gemm(int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t a_row, int64_t a_depth,
                  const float *b, int64_t ldb, int add, float *c, int64_t ldc) {
  Shape shape = {k, a_row, a_depth, ldb, ldc, alpha, add};
  int64_t i = 0;
  for (; i + TILE_ROWS <= m; i += TILE_ROWS) strip(&shape, a + i * a_row, b, c + i * ldc, n, TILE_ROWS);
  for (; i + 2 <= m; i += 2) strip(&shape, a + i * a_row, b, c + i * ldc, n, 2);
  for (; i < m; i++) strip(&shape, a + i * a_row, b, c + i * ldc, n, 1);
}
