/*
 * Dropout whose mask is computed where it is needed: whether an entry stays is a function of its example's key and of
 * its place in the example, a hash in place of a generator's stream, so that all entries can be decided at once.
 */
#include "common.h"

#define CHUNK 16384

/* A bijection of 32 bits with a bias below 0.2 (C. Wellons's "lowbias32"). */
static inline uint32_t mix(uint32_t x) {
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}

/* What the entry at `place` of its example is multiplied by. */
static inline float kept(uint32_t place, uint32_t first, uint32_t second, uint32_t limit, float factor) {
  return mix(mix(place ^ first) + second) < limit ? 0.0f : factor;
}

int rs_dropout(float *y, const float *x, const int32_t *keys, int64_t examples, int64_t size, int64_t threshold,
               float factor, int add) {
  if (threshold < 0 || threshold > UINT32_MAX || size > UINT32_MAX)
    return rs_fail(RS_BAD_ARGUMENT, "dropout of %lld entries an example", (long long)size);
  int64_t chunks = (size + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(rs_team(examples * size, RS_STREAM_GRAIN))
  for (int64_t part = 0; part < examples * chunks; part++) {
    int64_t example = part / chunks, start = part % chunks * CHUNK;
    uint32_t first = (uint32_t)keys[2 * example], second = (uint32_t)keys[2 * example + 1], limit = (uint32_t)threshold;
    const float *from = x + example * size + start;
    float *to = y + example * size + start;
    int32_t count = (int32_t)rs_min(CHUNK, size - start);
    if (add) {
#pragma omp simd
      for (int32_t i = 0; i < count; i++)
        to[i] += from[i] * kept((uint32_t)start + (uint32_t)i, first, second, limit, factor);
    } else {
#pragma omp simd
      for (int32_t i = 0; i < count; i++)
        to[i] = from[i] * kept((uint32_t)start + (uint32_t)i, first, second, limit, factor);
    }
  }
  return RS_OK;
}
