/* Adam (Kingma and Ba, 2015) with decoupled weight decay (Loshchilov and Hutter, 2019), in torch's formulas. */
#include "common.h"

/* Factors that undo the bias of m and v after `step` steps. */
static void bias_corrections(float *first, float *second, float beta1, float beta2, int64_t step) {
  *first = (float)(1.0 / (1.0 - pow((double)beta1, (double)step)));
  *second = (float)(1.0 / (1.0 - pow((double)beta2, (double)step)));
}

int rs_adamw(float *parameter, float *m, float *v, const float *gradient, int64_t count, float learning_rate,
             float beta1, float beta2, float epsilon, float weight_decay, int64_t step, float gradient_factor) {
  if (step < 1) return rs_fail(RS_BAD_ARGUMENT, "Adam step %lld: steps count from 1", (long long)step);
  float first, second, keep = 1.0f - learning_rate * weight_decay;
  bias_corrections(&first, &second, beta1, beta2, step);
#pragma omp parallel for simd schedule(static) num_threads(rs_team(count, RS_MATH_GRAIN))
  for (int64_t i = 0; i < count; i++) {
    float g = gradient[i] * gradient_factor;
    float mean = m[i] = beta1 * m[i] + (1.0f - beta1) * g;
    float square = v[i] = beta2 * v[i] + (1.0f - beta2) * g * g;
    parameter[i] = parameter[i] * keep - learning_rate * (mean * first) / (sqrtf(square * second) + epsilon);
  }
  return RS_OK;
}

int rs_adam_delta(float *delta, float *m, float *v, const float *gradient, int64_t count, float learning_rate,
                  float beta1, float beta2, float epsilon, int64_t step, float gradient_factor) {
  if (step < 1) return rs_fail(RS_BAD_ARGUMENT, "Adam step %lld: steps count from 1", (long long)step);
  float first, second;
  bias_corrections(&first, &second, beta1, beta2, step);
#pragma omp parallel for simd schedule(static) num_threads(rs_team(count, RS_MATH_GRAIN))
  for (int64_t i = 0; i < count; i++) {
    float g = gradient[i] * gradient_factor;
    float mean = m[i] = beta1 * m[i] + (1.0f - beta1) * g;
    float square = v[i] = beta2 * v[i] + (1.0f - beta2) * g * g;
    delta[i] = -learning_rate * (mean * first) / (sqrtf(square * second) + epsilon);
  }
  return RS_OK;
}
