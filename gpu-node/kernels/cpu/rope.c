/* Rotary position embedding (Su et al., 2021) in the half-split form of the Llama family. */
#include "common.h"

int rs_rope(float *y, const float *x, const float *cosine, const float *sine, int64_t rows, int64_t sequence,
            int64_t heads, int64_t head_dim, float direction) {
  int64_t half = head_dim / 2;
#pragma omp parallel for schedule(static) num_threads(rs_team(rows * heads * head_dim, RS_STREAM_GRAIN))
  for (int64_t row = 0; row < rows; row++) {
    const float *cos_row = cosine + row % sequence * half, *sin_row = sine + row % sequence * half;
    for (int64_t head = 0; head < heads; head++) {
      const float *from = x + (row * heads + head) * head_dim;
      float *to = y + (row * heads + head) * head_dim;
#pragma omp simd
      for (int64_t j = 0; j < half; j++) {
        float first = from[j], second = from[j + half], s = direction * sin_row[j];
        to[j] = first * cos_row[j] - second * s;
        to[j + half] = second * cos_row[j] + first * s;
      }
    }
  }
  return RS_OK;
}
