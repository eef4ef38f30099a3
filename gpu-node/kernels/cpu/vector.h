/* Vector registers of floats in GCC's vector extension, as wide as the processor's. */
#ifndef RANKSCOPE_VECTOR_H
#define RANKSCOPE_VECTOR_H

/* Floats of a register, and rows of a tile of sums: with three registers a row they leave room for the operands. */
#if defined(__AVX512F__)
#define LANES 16
#define TILE_ROWS 8
#elif defined(__AVX__)
#define LANES 8
#define TILE_ROWS 4
#elif defined(__aarch64__)
#define LANES 4
#define TILE_ROWS 8
#else
#define LANES 4
#define TILE_ROWS 4
#endif

/* Alignment 4: loads and stores at any float. */
typedef float Vector __attribute__((vector_size(LANES * 4), aligned(4)));
typedef float Quad __attribute__((vector_size(16), aligned(4)));

#endif
