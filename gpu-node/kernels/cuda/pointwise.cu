/* Kernels whose threads know nothing of each other. An output may be an input where rankscope.h says so. */
#include "device.cuh"

KERNEL(fill, RS_BLOCK) { EACH(i, p.count) p.out[i] = p.factor; }
KERNEL(add, RS_BLOCK) { EACH(i, p.count) p.out[i] = p.a[i] + p.b[i]; }
KERNEL(subtract, RS_BLOCK) { EACH(i, p.count) p.out[i] = p.a[i] - p.b[i]; }
KERNEL(multiply, RS_BLOCK) { EACH(i, p.count) p.out[i] = p.a[i] * p.b[i]; }
KERNEL(divide, RS_BLOCK) { EACH(i, p.count) p.out[i] = __fdiv_rn(p.a[i], p.b[i]); }
KERNEL(maximum, RS_BLOCK) { EACH(i, p.count) p.out[i] = Largest::of(p.b[i], p.a[i]); }
KERNEL(square_root, RS_BLOCK) { EACH(i, p.count) p.out[i] = __fsqrt_rn(p.a[i]); }
KERNEL(add_row, RS_BLOCK) { EACH(i, p.count) p.out[i] = p.a[i] + p.b[i % p.width]; }
KERNEL(multiply_row, RS_BLOCK) { EACH(i, p.count) p.out[i] = p.a[i] * p.b[i % p.width]; }
KERNEL(scale, RS_BLOCK) { EACH(i, p.count) p.out[i] = p.factor * p.a[i]; }
KERNEL(multiply_one_plus, RS_BLOCK) { EACH(i, p.count) p.out[i] = p.a[i] * (1.0f + p.b[i]); }
KERNEL(round_bfloat16, RS_BLOCK) { EACH(i, p.count) p.out[i] = to_bfloat16(p.a[i]); }
KERNEL(accumulate, RS_BLOCK) { EACH(i, p.count) p.target[i] += p.factor * p.x[i]; }

/* Kahan's compensation; the intrinsics keep the compiler from fusing what must round on its own. */
KERNEL(compensated_accumulate, RS_BLOCK) {
  EACH(i, p.count) {
    float y = __fsub_rn(__fmul_rn(p.factor, p.x[i]), p.compensation[i]), t = __fadd_rn(p.target[i], y);
    p.compensation[i] = __fsub_rn(__fsub_rn(t, p.target[i]), y);
    p.target[i] = t;
  }
}

/* Rows between buffers with strides; an index names the row of each on its side, NULL: in order. */
KERNEL(copy_rows, RS_BLOCK) {
  EACH(i, p.rows * p.width) {
    int64_t row = i / p.width, column = i % p.width, to = p.to_row ? p.to_row[row] : row,
            from = p.from_row ? p.from_row[row] : row;
    p.to[to * p.to_stride + column] = p.from[from * p.from_stride + column];
  }
}

/* to [width, rows] = transpose of from [rows, width], 32 x 32 at a time by 32 x 8 threads. */
KERNEL(transpose, RS_BLOCK) {
  SHARED_ARRAY(float, tile, 32 * 33);
  int64_t x = (int64_t)blockIdx.x * 32, y = (int64_t)blockIdx.y * 32;
  int column = threadIdx.x % 32, first = threadIdx.x / 32;
  for (int i = first; i < 32; i += 8)
    if (y + i < p.rows && x + column < p.width) tile[i * 33 + column] = p.from[(y + i) * p.width + x + column];
  __syncthreads();
  for (int i = first; i < 32; i += 8)
    if (x + i < p.width && y + column < p.rows) p.to[(x + i) * p.rows + y + column] = tile[column * 33 + i];
}

/* Element i of floats as a file of weights holds them. */
__device__ static float stored_float(const void *x, int64_t i, int32_t bytes, int32_t float16) {
  if (bytes == 4) return ((const float *)x)[i];
  uint32_t half = ((const uint16_t *)x)[i];
  if (!float16) return __uint_as_float(half << 16);
  uint32_t sign = (half & 0x8000u) << 16, magnitude = half & 0x7fffu;
  if (magnitude < 0x400u) return __uint_as_float(sign | __float_as_uint((float)magnitude * 0x1p-24f));
  uint32_t bits = magnitude << 13;
  return __uint_as_float(sign | (magnitude < 0x7c00u ? bits + (112u << 23) : bits | 0x7f800000u));
}

KERNEL(widen, RS_BLOCK) { EACH(i, p.rows * p.columns) p.out[i] = stored_float(p.x, i, p.bytes, p.float16); }

/* out [columns, all_rows] from its column on = transpose of x [rows, columns], tiles as in transpose. */
KERNEL(widen_transposed, RS_BLOCK) {
  SHARED_ARRAY(float, tile, 32 * 33);
  int64_t x = (int64_t)blockIdx.x * 32, y = (int64_t)blockIdx.y * 32;
  int column = threadIdx.x % 32, first = threadIdx.x / 32;
  for (int i = first; i < 32; i += 8)
    if (y + i < p.rows && x + column < p.columns)
      tile[i * 33 + column] = stored_float(p.x, (y + i) * p.columns + x + column, p.bytes, p.float16);
  __syncthreads();
  for (int i = first; i < 32; i += 8)
    if (x + i < p.columns && y + column < p.rows) p.out[(x + i) * p.all_rows + y + column] = tile[column * 33 + i];
}

/* Half-split rotation; position = row mod sequence. */
KERNEL(rope, RS_BLOCK) {
  int64_t half = p.head_dim / 2;
  EACH(i, p.rows * p.heads * half) {
    int64_t j = i % half, head = i / half, row = head / p.heads, angle = row % p.sequence * half + j;
    const float *from = p.x + head * p.head_dim + j;
    float first = from[0], second = from[half], c = p.cosine[angle], s = p.direction * p.sine[angle];
    float *to = p.y + head * p.head_dim + j;
    to[0] = first * c - second * s;
    to[half] = second * c + first * s;
  }
}

__device__ inline float swiglu_of(float g, float u) { return g / (1.0f + expf(-g)) * u; }

/* y is dgate here; four elements at once where sizes and addresses allow. */
KERNEL(swiglu, RS_BLOCK) {
  if (p.count % 4 == 0 && ((uintptr_t)p.dgate | (uintptr_t)p.gate | (uintptr_t)p.up) % 16 == 0) {
    EACH(i, p.count / 4) {
      float4 g = ((const float4 *)p.gate)[i], u = ((const float4 *)p.up)[i];
      ((float4 *)p.dgate)[i] =
          make_float4(swiglu_of(g.x, u.x), swiglu_of(g.y, u.y), swiglu_of(g.z, u.z), swiglu_of(g.w, u.w));
    }
  } else {
    EACH(i, p.count) p.dgate[i] = swiglu_of(p.gate[i], p.up[i]);
  }
}

KERNEL(swiglu_gradient, RS_BLOCK) {
  EACH(i, p.count) {
    float g = p.gate[i], u = p.up[i], d = p.dy[i], sigmoid = 1.0f / (1.0f + expf(-g));
    p.dup[i] = d * g * sigmoid;
    p.dgate[i] = d * u * sigmoid * (1.0f + g * (1.0f - sigmoid));
  }
}

/* The product's hash (gpu-node/kernels/dropout.c): an entry stays or goes by its example's key and its place. */
__device__ inline uint32_t mix(uint32_t x) {
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}

KERNEL(dropout, RS_BLOCK) {
  EACH(i, p.examples * p.size) {
    int64_t example = i / p.size;
    uint32_t place = (uint32_t)(i % p.size), first = (uint32_t)p.keys[2 * example],
             second = (uint32_t)p.keys[2 * example + 1];
    float kept = p.x[i] * (mix(mix(place ^ first) + second) < p.threshold ? 0.0f : p.factor);
    p.y[i] = p.add ? p.y[i] + kept : kept;
  }
}

/* One step of Adam for element i: what has to be subtracted. */
template <class P>
__device__ float adam_step(const P &p, int64_t i) {
  float g = p.gradient[i] * p.factor;
  float mean = p.m[i] = p.beta1 * p.m[i] + (1.0f - p.beta1) * g;
  float square = p.v[i] = p.beta2 * p.v[i] + (1.0f - p.beta2) * g * g;
  return p.rate * (mean * p.first) / (sqrtf(square * p.second) + p.epsilon);
}
KERNEL(adamw, RS_BLOCK) {
  EACH(i, p.count) {
    float step = adam_step(p, i);
    p.p[i] = p.p[i] * p.keep - step;
  }
}
KERNEL(adam_delta, RS_BLOCK) { EACH(i, p.count) p.p[i] = -adam_step(p, i); }

/* left [m, 2Kr] = [da | a (+ da)], devices side by side; right [2Kr, n] = [b; db]. */
KERNEL(hd_pissa_left, RS_BLOCK) {
  int64_t inner = p.devices * p.rank;
  EACH(i, p.m * inner) {
    int64_t row = i / inner, column = i % inner, from = (column / p.rank * p.m + row) * p.rank + column % p.rank;
    float *to = p.left + row * 2 * inner + column;
    to[0] = p.da[from];
    to[inner] = p.a[from] + p.add * p.da[from];
  }
}
KERNEL(hd_pissa_right, RS_BLOCK) {
  int64_t half = p.devices * p.rank * p.n;
  EACH(i, 2 * half) p.right[i] = i < half ? p.b[i] : p.db[i - half];
}

/* Column i of a row of `to` is the sum of all from[c mod from_width], c < count, c = i mod to_width (MoRA's C and D).
 */
KERNEL(wrap, RS_BLOCK) {
  EACH(i, p.rows * p.to_width) {
    const float *from = p.from + i / p.to_width * p.from_width;
    float sum = p.add ? p.to[i] : 0;
    for (int64_t c = i % p.to_width; c < p.count; c += p.to_width) sum += from[c % p.from_width];
    p.to[i] = p.bfloat16 ? to_bfloat16(sum) : sum;
  }
}

/* The nearest bfloat16, or of what that leaves over (part 1), or of what is left over then (part 2): three hold a float32. */
KERNEL(pack_bfloat16, RS_BLOCK) {
  EACH(i, p.count) {
    float x = p.x[i], rounded = to_bfloat16(x);
    for (int part = 0; part < p.part; part++) {
      x = isfinite(rounded) ? __fsub_rn(x, rounded) : 0.0f;
      rounded = to_bfloat16(x);
    }
    p.out[i] = (uint16_t)(__float_as_uint(rounded) >> 16);
  }
}

/*
 * A matrix [rows, columns] of a batch three times, side by side or one below the other (`down`): its TF32 part twice, and
 * in third `small` what that leaves over. Such a left operand (small 1) times such a right one (small 2) is
 * big * big + small * big + big * small.
 */
KERNEL(split_tf32, RS_BLOCK) {
  int64_t count = p.rows * p.columns;
  EACH(i, p.batch * count) {
    int64_t matrix = i / count, row = i % count / p.columns, column = i % p.columns;
    float x = p.x[matrix * p.stride + row * p.ld + column], big = __uint_as_float(to_tf32(x)),
          small = isfinite(big) ? __fsub_rn(x, big) : 0.0f;
    float *to = p.out + matrix * 3 * count + (p.down ? row * p.columns : row * 3 * p.columns) + column;
    int64_t third = p.down ? count : p.columns;
    for (int part = 0; part < 3; part++) to[part * third] = part == p.small ? small : big;
  }
}
