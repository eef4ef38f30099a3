/* MoRA: wrapping and rotating kernels around one product (see ../../cpu/mora.c). */
#include "device.h"

typedef struct {
  int64_t rows, inputs, outputs, size, blocks, width, read;
  const float *cosine, *sine;
  int bfloat16;
} Mora;

static Mora mora(int64_t rows, int64_t inputs, int64_t outputs, int64_t size, const float *cosine, const float *sine,
                 int bfloat16) {
  int64_t of_input = (inputs + size - 1) / size, of_output = (outputs + size - 1) / size,
          blocks = cosine ? rs_min(of_input, of_output) : 1;
  return (Mora){rows,   inputs, outputs, size, blocks, blocks * size, cosine ? blocks * size : of_input * size,
                cosine, sine,   bfloat16};
}
static int wrap(float *to, int64_t to_width, const float *from, int64_t from_width, int64_t rows, int64_t count,
                int add, int bfloat16) {
  return LAUNCH_EACH(wrap, rows * to_width, .to = to, .from = from, .rows = rows, .to_width = to_width,
                     .from_width = from_width, .count = count, .add = add, .bfloat16 = bfloat16);
}
static int rotate(const Mora *p, float *z, float direction) {
  if (!p->cosine) return RS_OK;
  return LAUNCH_EACH(rope, p->rows * p->width / 2, .y = z, .x = z, .cosine = p->cosine, .sine = p->sine,
                     .rows = p->rows * p->blocks, .sequence = p->blocks, .heads = 1, .head_dim = p->size,
                     .direction = direction);
}
static int compress(const Mora *p, float *z, const float *x) {
  TRY(wrap(z, p->width, x, p->inputs, p->rows, p->read, 0, p->bfloat16 && !p->cosine));
  TRY(rotate(p, z, 1));
  return p->bfloat16 && p->cosine ? rs_round_bfloat16(z, z, p->rows * p->width) : RS_OK;
}
static float *mora_scratch(const Mora *p) { return rs_scratch(SCRATCH_MORA, rs_max(1, 2 * p->rows * p->width) * 4); }

int rs_mora_map(float *y, const float *x, const float *square, const float *cosine, const float *sine, int64_t rows,
                int64_t inputs, int64_t outputs, int64_t size, int add, int bfloat16) {
  Mora p = mora(rows, inputs, outputs, size, cosine, sine, bfloat16);
  float *z = mora_scratch(&p);
  if (!z) return RS_OUT_OF_MEMORY;
  float *t = z + rows * p.width;
  TRY(compress(&p, z, x));
  TRY(rs_gemm(0, 0, rows * p.blocks, size, size, 1, z, size, square, size, 0, t, size, 1, 0, 0, 0));
  return wrap(y, outputs, t, p.width, rows, outputs, add, 0);
}
int rs_mora_input_gradient(float *dx, const float *dy, const float *square, const float *cosine, const float *sine,
                           int64_t rows, int64_t inputs, int64_t outputs, int64_t size, int add, int bfloat16) {
  Mora p = mora(rows, inputs, outputs, size, cosine, sine, bfloat16);
  float *u = mora_scratch(&p);
  if (!u) return RS_OUT_OF_MEMORY;
  float *dz = u + rows * p.width;
  TRY(wrap(u, p.width, dy, outputs, rows, outputs, 0, bfloat16));
  TRY(rs_gemm(0, 1, rows * p.blocks, size, size, 1, u, size, square, size, 0, dz, size, 1, 0, 0, 0));
  TRY(rotate(&p, dz, -1));
  return wrap(dx, inputs, dz, p.width, rows, p.read, add, 0);
}
int rs_mora_square_gradient(float *dsquare, const float *x, const float *dy, const float *cosine, const float *sine,
                            int64_t rows, int64_t inputs, int64_t outputs, int64_t size, int bfloat16) {
  Mora p = mora(rows, inputs, outputs, size, cosine, sine, bfloat16);
  float *z = mora_scratch(&p);
  if (!z) return RS_OUT_OF_MEMORY;
  float *u = z + rows * p.width;
  TRY(compress(&p, z, x));
  TRY(wrap(u, p.width, dy, outputs, rows, outputs, 0, bfloat16));
  return rs_gemm(1, 0, size, size, rows * p.blocks, 1, z, size, u, size, 0, dsquare, size, 1, 0, 0, 0);
}
