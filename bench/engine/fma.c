/*
 * Multiply-adds on registers alone: what the arithmetic units of one thread reach. `fma` prints GFLOP/s by the clock and by
 * processor time, each the best of some rounds. Sixteen vectors of sums hide the delay of an instruction on every
 * processor with two units of up to four cycles, and fit its registers.
 */
#include <stdio.h>
#include <time.h>

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif

typedef float vector __attribute__((vector_size(BYTES)));
enum { lanes = BYTES / 4, sums = BYTES == 64 ? 16 : 10, steps = 2000000, rounds = 7 };

static double seconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec + 1e-9 * now.tv_nsec;
}

int main(void) {
  vector sum[sums], scale, shift;
  for (int lane = 0; lane < lanes; lane++) {
    scale[lane] = 0.999f;
    shift[lane] = 1e-3f * (lane + 1); /* never subnormal */
    for (int i = 0; i < sums; i++) sum[i][lane] = i + lane;
  }
  double wall = 0, processor = 0;
  for (int round = 0; round < rounds; round++) {
    double start = seconds(CLOCK_MONOTONIC), used = seconds(CLOCK_THREAD_CPUTIME_ID);
    for (long step = 0; step < steps; step++) {
#pragma GCC unroll 16
      for (int i = 0; i < sums; i++) sum[i] = sum[i] * scale + shift;
    }
    double gigaflops = 2e-9 * lanes * sums * (double)steps;
    double by_clock = gigaflops / (seconds(CLOCK_MONOTONIC) - start);
    double by_processor = gigaflops / (seconds(CLOCK_THREAD_CPUTIME_ID) - used);
    if (by_clock > wall) wall = by_clock;
    if (by_processor > processor) processor = by_processor;
  }
  float total = 0;
  for (int i = 0; i < sums; i++)
    for (int lane = 0; lane < lanes; lane++) total += sum[i][lane];
  printf("{\"wall\": %.3f, \"processor\": %.3f, \"sum\": %g}\n", wall, processor, total);
  return 0;
}
