/** What is measured: model sizes, methods, and the arithmetic that one training step takes. */
import type { RunConfig } from '@rankscope/protocol'

export interface ModelSize {
  readonly name: string
  readonly hidden: number
  readonly mlp: number
  readonly layers: number
  readonly heads: number
  /** As many as `heads` where not given. */
  readonly keyValueHeads?: number
  readonly vocabulary: number
  /** Sequences of a step. */
  readonly batch: number
  /** Tokens of a sequence. */
  readonly sequence: number
}

const common = { layers: 8, vocabulary: 512 }
export const sizes: Readonly<Record<string, ModelSize>> = {
  A: { name: 'A', ...common, hidden: 512, mlp: 1408, heads: 8, batch: 8, sequence: 256 },
  C: { name: 'C', ...common, hidden: 1024, mlp: 2816, heads: 16, batch: 4, sequence: 128 },
  /** About the built-in model. */
  demo: {
    name: 'demo',
    hidden: 256,
    mlp: 704,
    layers: 4,
    heads: 4,
    vocabulary: 1024,
    batch: 16,
    sequence: 64,
  },
  /** The vocabulary of Llama 3. */
  V: { name: 'V', ...common, hidden: 512, mlp: 1408, heads: 8, vocabulary: 128_256, batch: 2, sequence: 512 },
  ...forGpus({
    '160M': { hidden: 768, mlp: 3072, layers: 12, heads: 12 },
    '1.1B': { hidden: 2048, mlp: 5632, layers: 22, heads: 32, keyValueHeads: 4 },
    '7B': { hidden: 4096, mlp: 11_008, layers: 32, heads: 32 },
  }),
}

/** Each at 4,096 tokens a step and, as NAME-16k, at 16,384. */
function forGpus(
  shapes: Record<string, Omit<ModelSize, 'name' | 'vocabulary' | 'batch' | 'sequence'>>,
): Record<string, ModelSize> {
  const sized = Object.entries(shapes).flatMap(([name, shape]) =>
    [8, 32].map((batch): [string, ModelSize] => {
      const title = batch === 8 ? name : `${name}-16k`
      return [title, { name: title, ...shape, vocabulary: 32_000, batch, sequence: 512 }]
    }),
  )
  return Object.fromEntries(sized)
}

export type MethodKind = 'full' | 'lora' | 'pissa' | 'hd-pissa'

export interface StepCase {
  readonly size: ModelSize
  readonly method: MethodKind
  /** Virtual devices K; for other methods than HD-PiSSA 1. */
  readonly devices: number
  readonly rank: number
  readonly threads: number
  readonly backend: string
  readonly products: RunConfig['training']['products']
  readonly computeDtype: RunConfig['training']['computeDtype']
  /** Of a peer alone: through torch.compile. */
  readonly compiled?: boolean
  /** Steps that count, after those that warm up. */
  readonly steps: number
}

export function caseName({ method, devices }: Pick<StepCase, 'method' | 'devices'>): string {
  return method === 'hd-pissa'
    ? `HD-PiSSA K=${devices}`
    : { full: 'full', lora: 'LoRA', pissa: 'PiSSA' }[method]
}

/** What came out of one case. Times in milliseconds, one entry per step. */
export interface CaseResult {
  readonly wallMs: number[]
  /** Processor time over all threads, divided by the number of threads. */
  readonly processorMs: number[]
  /** GFLOP/s of a product of 1536 x 1536 matrices measured before each step, by wall and by processor time. */
  readonly peakWall: number[]
  readonly peakProcessor: number[]
  readonly peakRssBytes: number
  /** Most that tensors held at once on a GPU; absent elsewhere. */
  readonly peakDeviceBytes?: number
  readonly description: string
}

/**
 * Floating-point operations of a step, a multiply-add counted as two. Full fine-tuning: 6 N mn per weight; a frozen
 * weight 4 N mn; LoRA and PiSSA add 6 N r (m + n), HD-PiSSA 4 N r (m + n) and an update of 4 K r mn (METHODS §3.3).
 * Causal attention counts the visible half, and its scores once more in the backward pass. Elementwise work counts
 * nothing, nor does the gradient of a frozen head.
 */
export function stepFlops({
  size,
  method,
  devices,
  rank,
}: Pick<StepCase, 'size' | 'method' | 'devices' | 'rank'>): number {
  const { hidden, mlp, layers, vocabulary, batch, sequence, heads, keyValueHeads = heads } = size
  const keyValueWidth = (hidden / heads) * keyValueHeads
  const rows = batch * sequence
  const weights = layers * (2 * hidden * (hidden + keyValueWidth) + 3 * hidden * mlp)
  const sides = layers * (2 * 2 * hidden + 2 * (hidden + keyValueWidth) + 3 * (hidden + mlp))
  const attention = 7 * batch * sequence * sequence * hidden * layers
  const head = (method === 'full' ? 6 : 4) * rows * vocabulary * hidden
  switch (method) {
    case 'full':
      return 6 * rows * weights + attention + head
    case 'lora':
    case 'pissa':
      return 4 * rows * weights + 6 * rows * rank * sides + attention + head
    case 'hd-pissa':
      return 4 * rows * weights + 4 * rows * rank * sides + 4 * devices * rank * weights + attention + head
    default:
      return method satisfies never
  }
}
