/* A vector register of floats in GCC's vector extension, as wide as the processor's. */
#ifndef RANKSCOPE_VECTOR_H
#define RANKSCOPE_VECTOR_H

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif

/* Alignment 4: loads and stores at any float. */
typedef float Vector __attribute__((vector_size(LANES * 4), aligned(4)));

static inline Vector load(const float *from) { return *(const Vector *)from; }
static inline void store(float *to, Vector value) { *(Vector *)to = value; }

#endif
