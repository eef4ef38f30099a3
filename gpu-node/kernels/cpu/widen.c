/* Weights as a file holds them, widened to float32 and transposed on their way: one pass over memory. */
#include "common.h"
#include "transpose.h"

static inline float from_bfloat16(uint16_t half) {
  union {
    uint32_t bits;
    float value;
  } word = {.bits = (uint32_t)half << 16};
  return word.value;
}

/* Without arithmetic on subnormal floats, which the processor may be told to take for zero. */
static inline float from_float16(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000u) << 16, magnitude = half & 0x7fffu, bits = magnitude << 13;
  union {
    uint32_t bits;
    float value;
  } small = {.value = (float)magnitude * 0x1p-24f}, word;
  uint32_t normal = bits + (112u << 23), infinite = bits | 0x7f800000u;
  word.bits = sign | (magnitude < 0x400u ? small.bits : magnitude < 0x7c00u ? normal : infinite);
  return word.value;
}

static void widen_row(float *to, const void *from, int64_t first, int64_t count, int stored) {
  if (stored == RS_STORED_FLOAT32) {
    memcpy(to, (const float *)from + first, (size_t)count * sizeof(float));
    return;
  }
  const uint16_t *halves = (const uint16_t *)from + first;
  if (stored == RS_STORED_BFLOAT16)
    for (int64_t i = 0; i < count; i++) to[i] = from_bfloat16(halves[i]);
  else
    for (int64_t i = 0; i < count; i++) to[i] = from_float16(halves[i]);
}

/* Rows and columns of a tile: what a thread widens and writes transposed while it is in its first cache. */
#define TILE 64

static void widen_transposed(float *out, const void *x, int64_t rows, int64_t columns, int stored) {
#pragma omp parallel for schedule(static) num_threads(rs_team(rows * columns, RS_STREAM_GRAIN))
  for (int64_t column = 0; column < columns; column += TILE) {
    float tile[TILE * TILE];
    int64_t width = rs_min(TILE, columns - column);
    for (int64_t row = 0; row < rows; row += TILE) {
      int64_t height = rs_min(TILE, rows - row);
      for (int64_t i = 0; i < height; i++)
        widen_row(tile + i * TILE, x, (row + i) * columns + column, width, stored);
      rs_transpose_block(out + column * rows + row, rows, tile, TILE, height, width);
    }
  }
}

int rs_widen(float *out, const void *x, int64_t rows, int64_t columns, int stored, int transposed) {
  if (stored < RS_STORED_FLOAT32 || stored > RS_STORED_FLOAT16)
    return rs_fail(RS_BAD_ARGUMENT, "floats cannot be stored in form %d", stored);
  if (transposed) {
    widen_transposed(out, x, rows, columns, stored);
    return RS_OK;
  }
  int64_t count = rows * columns, part = 16384;
#pragma omp parallel for schedule(static) num_threads(rs_team(count, RS_STREAM_GRAIN))
  for (int64_t first = 0; first < count; first += part)
    widen_row(out + first, x, first, rs_min(part, count - first), stored);
  return RS_OK;
}
