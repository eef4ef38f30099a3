/* Adam: what the host computes once a step, and one launch. */
#include "device.h"

#include <math.h>

static Adam adam(float *p, float *m, float *v, const float *gradient, int64_t count, float rate, float beta1,
                 float beta2, float epsilon, int64_t step, float factor) {
  return (Adam){.p = p,
                .m = m,
                .v = v,
                .gradient = gradient,
                .count = count,
                .rate = rate,
                .beta1 = beta1,
                .beta2 = beta2,
                .epsilon = epsilon,
                .first = (float)(1.0 / (1.0 - pow((double)beta1, (double)step))),
                .second = (float)(1.0 / (1.0 - pow((double)beta2, (double)step))),
                .factor = factor};
}
int rs_adamw(float *parameter, float *m, float *v, const float *gradient, int64_t count, float learning_rate,
             float beta1, float beta2, float epsilon, float weight_decay, int64_t step, float gradient_factor) {
  if (step < 1) return rs_fail(RS_BAD_ARGUMENT, "Adam step %lld: steps count from 1", (long long)step);
  Adam p = adam(parameter, m, v, gradient, count, learning_rate, beta1, beta2, epsilon, step, gradient_factor);
  p.keep = 1.0f - learning_rate * weight_decay;
  return rs_launch(KERNEL_adamw, rs_blocks(count), 1, 1, RS_BLOCK, 0, &p);
}
int rs_adam_delta(float *delta, float *m, float *v, const float *gradient, int64_t count, float learning_rate,
                  float beta1, float beta2, float epsilon, int64_t step, float gradient_factor) {
  if (step < 1) return rs_fail(RS_BAD_ARGUMENT, "Adam step %lld: steps count from 1", (long long)step);
  Adam p = adam(delta, m, v, gradient, count, learning_rate, beta1, beta2, epsilon, step, gradient_factor);
  return rs_launch(KERNEL_adam_delta, rs_blocks(count), 1, 1, RS_BLOCK, 0, &p);
}
