/* SwiGLU (Shazeer, 2020): y = gate * sigmoid(gate) * up. */
#include "common.h"

int rs_swiglu(float *y, const float *gate, const float *up, int64_t count) {
#pragma omp parallel for simd schedule(static) num_threads(rs_team(count, RS_MATH_GRAIN))
  for (int64_t i = 0; i < count; i++) y[i] = gate[i] / (1.0f + rs_exp(-gate[i])) * up[i];
  return RS_OK;
}

int rs_swiglu_backward(float *dgate, float *dup, const float *dy, const float *gate, const float *up,
                       int64_t count) {
#pragma omp parallel for simd schedule(static) num_threads(rs_team(count, RS_MATH_GRAIN))
  for (int64_t i = 0; i < count; i++) {
    float g = gate[i], u = up[i], d = dy[i], sigmoid = 1.0f / (1.0f + rs_exp(-g));
    dup[i] = d * g * sigmoid;
    dgate[i] = d * u * sigmoid * (1.0f + g * (1.0f - sigmoid));
  }
  return RS_OK;
}
