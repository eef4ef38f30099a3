/* Transposition of matrices, four by four floats at a time. */
#include "transpose.h"

#include "common.h"
#include "vector.h"

/* to = the transpose of 4 x 4 floats. */
static inline void transpose_quad(float *to, int64_t to_stride, const float *from, int64_t from_stride) {
  Quad r0 = *(const Quad *)from, r1 = *(const Quad *)(from + from_stride), r2 = *(const Quad *)(from + 2 * from_stride),
       r3 = *(const Quad *)(from + 3 * from_stride);
  Quad low01 = __builtin_shufflevector(r0, r1, 0, 4, 1, 5), high01 = __builtin_shufflevector(r0, r1, 2, 6, 3, 7);
  Quad low23 = __builtin_shufflevector(r2, r3, 0, 4, 1, 5), high23 = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
  *(Quad *)to = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
  *(Quad *)(to + to_stride) = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
  *(Quad *)(to + 2 * to_stride) = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
  *(Quad *)(to + 3 * to_stride) = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
}

void rs_transpose_block(float *to, int64_t to_stride, const float *from, int64_t from_stride, int64_t rows,
                        int64_t columns) {
  int64_t whole_rows = rows / 4 * 4, whole_columns = columns / 4 * 4;
  for (int64_t j = 0; j < whole_columns; j += 4)
    for (int64_t i = 0; i < whole_rows; i += 4)
      transpose_quad(to + j * to_stride + i, to_stride, from + i * from_stride + j, from_stride);
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = i < whole_rows ? whole_columns : 0; j < columns; j++)
      to[j * to_stride + i] = from[i * from_stride + j];
}

int rs_transpose(float *out, const float *x, int64_t rows, int64_t columns) {
  int64_t tile = 32;
#pragma omp parallel for schedule(static) num_threads(rs_team(rows * columns, RS_STREAM_GRAIN))
  for (int64_t row = 0; row < rows; row += tile)
    for (int64_t column = 0; column < columns; column += tile)
      rs_transpose_block(out + column * rows + row, rows, x + row * columns + column, columns,
                         rs_min(tile, rows - row), rs_min(tile, columns - column));
  return RS_OK;
}
