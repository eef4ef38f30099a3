/*
 * The head of a language model and its cross-entropy in one kernel: logits exist for a chunk of rows at a time, and
 * their gradient overwrites them. Every row has its own weight.
 */
#include "common.h"

#define IGNORED (-100)

/*
 * Turns a row of logits into weight * (softmax - one-hot) when a gradient is wanted; returns the cross-entropy of
 * the target.
 */
static float row_loss(float *logit, int32_t target, float weight, int64_t vocabulary, int want_gradient) {
  float largest = logit[0], sum = 0, target_logit = logit[target];
#pragma omp simd reduction(max : largest)
  for (int64_t j = 1; j < vocabulary; j++) largest = logit[j] > largest ? logit[j] : largest;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < vocabulary; j++) {
    logit[j] = rs_exp(logit[j] - largest);
    sum += logit[j];
  }
  if (want_gradient) {
    float factor = weight / sum;
#pragma omp simd
    for (int64_t j = 0; j < vocabulary; j++) logit[j] *= factor;
    logit[target] -= weight;
  }
  return largest + logf(sum) - target_logit;
}

static int check_targets(const int32_t *targets, int64_t rows, int64_t vocabulary) {
  for (int64_t row = 0; row < rows; row++)
    if (targets[row] != IGNORED && (targets[row] < 0 || targets[row] >= vocabulary))
      return rs_fail(RS_BAD_ARGUMENT, "target %d at row %lld is outside the vocabulary of %lld", targets[row],
                     (long long)row, (long long)vocabulary);
  return RS_OK;
}

int rs_cross_entropy(float *loss, float *per_token, float *dx, float *dhead, float *logits, const float *x,
                     const float *head, const int32_t *targets, const float *weights, int64_t rows, int64_t width,
                     int64_t vocabulary, int64_t chunk) {
  int status = check_targets(targets, rows, vocabulary);
  if (status != RS_OK) return status;
  int want_gradient = dx != NULL || dhead != NULL;
  for (int64_t start = 0; start < rows; start += chunk) {
    int64_t count = rs_min(chunk, rows - start);
    const float *x_chunk = x + start * width;
    status = rs_sgemm(0, 1, count, vocabulary, width, 1, x_chunk, width, head, width, 0, logits, vocabulary);
    if (status != RS_OK) return status;
#pragma omp parallel for schedule(static) num_threads(rs_team(count * vocabulary, RS_MATH_GRAIN))
    for (int64_t i = 0; i < count; i++) {
      float *logit = logits + i * vocabulary;
      int32_t target = targets[start + i];
      if (target == IGNORED) {
        per_token[start + i] = 0;
        if (want_gradient) memset(logit, 0, (size_t)vocabulary * sizeof(float));
      } else {
        per_token[start + i] = row_loss(logit, target, weights[start + i], vocabulary, want_gradient);
      }
    }
    if (dx != NULL)
      status = rs_sgemm(0, 0, count, width, vocabulary, 1, logits, vocabulary, head, width, 0, dx + start * width, width);
    if (dhead != NULL && status == RS_OK)
      status = rs_sgemm(1, 0, vocabulary, width, count, 1, logits, vocabulary, x_chunk, width, start > 0, dhead, width);
    if (status != RS_OK) return status;
  }
  double total = 0;
  for (int64_t row = 0; row < rows; row++)
    if (targets[row] != IGNORED) total += (double)weights[row] * (double)per_token[row];
  *loss = (float)total;
  return RS_OK;
}
