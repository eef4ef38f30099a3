/** Mistakes that the emulation has to find in kernels and host code: in which file, which text, and what replaces it. */
export interface PlantedMistake {
  readonly name: string
  /** Below gpu-node/kernels/cuda. */
  readonly file: string
  readonly text: string
  readonly becomes: string
  /** Environment under which it shows, where that is not float32 (`precisions` of emulation.test.ts). */
  readonly precision?: Readonly<Record<string, string>>
}

const attention = 'attention.cu'
const rows = 'rows.cu'

export const plantedMistakes: readonly PlantedMistake[] = [
  {
    name: 'no barrier before shared memory is loaded again',
    file: attention,
    text: '    __syncthreads();\n    load<D>(k, p.k',
    becomes: '    load<D>(k, p.k',
  },
  {
    name: 'no barrier after shared memory was loaded',
    file: attention,
    text: 'k_stride, p);\n    __syncthreads();\n    float s[N][4], top[2]',
    becomes: 'k_stride, p);\n    float s[N][4], top[2]',
  },
  {
    name: 'a logit overwritten before it is read',
    file: rows,
    text: '  __syncthreads(); /* the target',
    becomes: '  /* the target',
  },
  {
    name: 'a barrier that not all threads reach',
    file: rows,
    text: '  float inverse = 1.0f / sqrtf(block_sum(squares)',
    becomes: '  if (threadIdx.x < 40) __syncthreads();\n  float inverse = 1.0f / sqrtf(block_sum(squares)',
  },
  {
    name: 'one element past the end',
    file: 'pointwise.cu',
    text: 'KERNEL(fill, RS_BLOCK) { EACH(i, p.count) p',
    becomes: 'KERNEL(fill, RS_BLOCK) { EACH(i, p.count + 1) p',
  },
  {
    name: 'a last element that nobody writes',
    file: 'pointwise.cu',
    text: 'EACH(i, p.count) p.dgate[i] = swiglu_of',
    becomes: 'EACH(i, p.count - 1) p.dgate[i] = swiglu_of',
  },
  {
    name: 'blocks that build on one another',
    file: rows,
    text: 'p.partial[blockIdx.y * p.columns + column] = sum;',
    becomes: 'p.partial[column] = (blockIdx.y ? p.partial[column] : 0) + sum;',
  },
  {
    name: 'a shuffle without some of its lanes',
    file: attention,
    text: '  sum = block_sum(sum);',
    becomes: '  if (threadIdx.x < 24) sum = block_sum(sum);',
  },
  {
    name: 'half of a wide head left out',
    file: attention,
    text: 'const float *r = rows + (8 * n + 2 * t) * STRIDE<D> + part * OUT<D> + g;',
    becomes: 'const float *r = rows + (8 * n + 2 * t) * STRIDE<D> + g;',
  },
  {
    name: 'a wrong leading dimension',
    file: 'host/products.c',
    text: 'CUDA_R_32F, (int)p->ldc,',
    becomes: 'CUDA_R_32F, (int)p->ldc - 1,',
  },
  {
    name: 'swapped operands',
    file: 'host/products.c',
    text: '(int)p->n, (int)p->m, (int)p->k,',
    becomes: '(int)p->m, (int)p->n, (int)p->k,',
  },
  {
    name: 'the host reads memory of the device',
    file: 'host/tokens.c',
    text: '.targets = staged + start, .weights',
    becomes: '.targets = staged + start + (weights[0] > 2), .weights',
  },
  {
    name: 'an array of the host given to a kernel',
    file: 'host/rows.c',
    text: '.keys = staged',
    becomes: '.keys = keys',
  },
  {
    name: 'memory used after it was given back',
    file: 'host/elementwise.c',
    text: '  return chunks == 1\n',
    becomes: '  if (chunks > 1) rs_release(partial, 0);\n  return chunks == 1\n',
  },
  {
    name: 'cuBLAS without a workspace of its own',
    file: 'host/device.c',
    text: '  return rs_check_blas(cublas.cublasSetWorkspace_v2(*handle, ',
    becomes: '  return workspace ? RS_OK : rs_check_blas(cublas.cublasSetWorkspace_v2(*handle, ',
  },
  {
    name: 'staging memory used again too early',
    file: 'host/copies.c',
    text: 'if (parts[part].left && rs_check(cuda.cuEventSynchronize(parts[part].left), "event")) return NULL;',
    becomes: '',
  },
  {
    name: 'a sum of squares of two tensors that share their parts',
    file: 'host/elementwise.c',
    text: '.partial = partial + i * RS_SQUARES_PARTS',
    becomes: '.partial = partial',
  },
  {
    name: 'a split operand that lies in the wrong order',
    file: 'host/products.c',
    text: '.down = !w->tb, .small = 2',
    becomes: '.down = w->tb, .small = 2',
    precision: { PRODUCTS: '3' },
  },
]
