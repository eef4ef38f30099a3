/** The fused kernels of the contract (ops/kernels.ts) on the device backend. */
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { util } from '@tensorflow/tfjs-core'
import type { AttentionShape, DropoutAttributes, FusedKernels } from '../../ops/kernels.ts'
import { roundingOperands } from '../../ops/rounded-operands.ts'
import type { DeviceBackend } from './device-backend.ts'
import { moraKernels } from './device-mora.ts'
import { inPrecision } from './device-precision.ts'

/** Rows of logits that exist at once, however many columns they have: fewer make a product inefficient. */
const fewestLogitRows = 256

export function createDeviceKernels(backend: DeviceBackend): FusedKernels {
  const kernels = {
    ...linearKernels(backend),
    ...moraKernels(backend),
    ...pointwiseKernels(backend),
    ...attentionKernels(backend),
  }
  if (backend.library.narrow) return inPrecision(kernels, backend.library, backend.narrowCopies)
  return roundingOperands(kernels, {
    release: ({ dataId }) => backend.disposeData(dataId),
    view: (tensor, shape) => ({ ...tensor, shape }),
  })
}

type Three = [TensorInfo, TensorInfo, TensorInfo]

const size = (tensor: TensorInfo): number => util.sizeFromShape(tensor.shape)
const matrix = (tensor: TensorInfo): [rows: number, columns: number] => [tensor.shape[0]!, tensor.shape[1]!]

/** y = dropout(x), or with `add` y += dropout(x). */
function drop(
  backend: DeviceBackend,
  y: TensorInfo,
  x: TensorInfo,
  { keys, threshold, factor }: DropoutAttributes,
  add: boolean,
): void {
  const examples = keys.length / 2
  const [to, from] = [backend.address(y), backend.address(x)]
  backend.library.dropout(to, from, keys, examples, size(x) / examples, threshold, factor, add ? 1 : 0)
}

function linearKernels(backend: DeviceBackend) {
  const { library } = backend
  const at = (tensor: TensorInfo): bigint => backend.address(tensor)

  /** out = factor * op(a) op(b) + keep * out for matrices without gaps. */
  function product(
    out: TensorInfo,
    a: TensorInfo,
    b: TensorInfo,
    { transposeA = false, transposeB = false, factor = 1, keep = 0 } = {},
  ): void {
    const rank = a.shape.length
    const [rowsA, columnsA] = [a.shape[rank - 2]!, a.shape[rank - 1]!]
    const [rowsB, columnsB] = [b.shape[rank - 2]!, b.shape[rank - 1]!]
    const [m, k] = transposeA ? [columnsA, rowsA] : [rowsA, columnsA]
    const n = transposeB ? rowsB : columnsB
    const batch = rank === 3 ? a.shape[0]! : 1
    library.gemm(
      transposeA ? 1 : 0,
      transposeB ? 1 : 0,
      m,
      n,
      k,
      factor,
      at(a),
      columnsA,
      at(b),
      columnsB,
      keep,
      at(out),
      n,
      batch,
      rowsA * columnsA,
      rowsB * columnsB,
      m * n,
    )
  }

  function linear({ x, w, bias }: { x: TensorInfo; w: TensorInfo; bias?: TensorInfo }): TensorInfo {
    const y = backend.allocate([x.shape[0]!, w.shape[1]!])
    product(y, x, w)
    if (bias) library.add_row(at(y), at(y), at(bias), y.shape[0]!, y.shape[1]!)
    return y
  }

  return {
    matMul: ({ a, b }, { transposeA, transposeB, factor }) => {
      const rank = a.shape.length
      const m = a.shape[rank - (transposeA ? 1 : 2)]!
      const n = b.shape[rank - (transposeB ? 2 : 1)]!
      const out = backend.allocate(rank === 3 ? [a.shape[0]!, m, n] : [m, n])
      product(out, a, b, { transposeA, transposeB, factor })
      return out
    },

    linear,
    mutedLinear: linear,

    lowRankLinear: ({ x, w, a, b, bias }, { scale, dropout }) => {
      const [rows, m] = matrix(x)
      const [rank, n] = matrix(b)
      const [y, t] = [backend.allocate([rows, n]), backend.allocate([rows, rank])]
      if (dropout) {
        const seen = backend.allocate(x.shape)
        drop(backend, seen, x, dropout, false)
        product(t, seen, a)
        backend.disposeData(seen.dataId)
      } else product(t, x, a)
      library.gemm_low_rank(0, rows, n, m, at(x), at(w), 0, at(y), rank, scale, at(t), at(b))
      backend.disposeData(t.dataId)
      if (bias) library.add_row(at(y), at(y), at(bias), rows, n)
      return y
    },

    linearInputGradient: ({ dy, w, dt, a, sum }, { dropout } = {}) => {
      const dx = sum ? backend.takeOver(sum) : backend.allocate([dy.shape[0]!, w.shape[0]!])
      const keep = sum ? 1 : 0
      if (dt && a && !dropout) {
        const [[rows, n], [m, rank]] = [matrix(dy), matrix(a)]
        library.gemm_low_rank(1, rows, m, n, at(dy), at(w), keep, at(dx), rank, 1, at(dt), at(a))
        return dx
      }
      product(dx, dy, w, { transposeB: true, keep })
      if (dt && a && dropout) {
        const branch = backend.allocate(dx.shape)
        product(branch, dt, a, { transposeB: true })
        drop(backend, dx, branch, dropout, true)
        backend.disposeData(branch.dataId)
      }
      return dx
    },

    adapterGradients: ({ x, dy, a, b }, { scale }) => {
      const [devices, m, rank] = a.shape as [number, number, number]
      const [rows, n] = matrix(dy)
      const [da, db, u] = [a.shape, b.shape, [rows, rank]].map((shape) => backend.allocate(shape)) as Three
      const outputs = [at(da), at(db), at(u)] as const
      library.adapter_gradients(...outputs, at(x), at(dy), at(a), at(b), devices, rows, m, n, rank, scale)
      return [da, db, u]
    },

    columnSum: ({ x }) => {
      const out = backend.allocate([x.shape[1]!])
      library.column_sum(at(out), at(x), null, ...matrix(x))
      return out
    },

    columnDot: ({ a, b }) => {
      const out = backend.allocate([a.shape[1]!])
      library.column_sum(at(out), at(a), at(b), ...matrix(a))
      return out
    },

    scaleColumns: ({ y, s }) => {
      const out = backend.allocate(y.shape)
      library.multiply_row(at(out), at(y), at(s), ...matrix(y))
      return out
    },

    hadamardWeight: ({ w0, a, b }) => {
      const out = backend.allocate(w0.shape)
      product(out, a, b)
      library.multiply_one_plus(at(out), at(w0), at(out), size(w0))
      return out
    },

    crossEntropy: ({ x, head, targets, weights }, { wantInputGradient, wantHeadGradient }) => {
      const [rows, width] = matrix(x)
      const vocabulary = head.shape[0]!
      const chunk = Math.min(rows, Math.max(fewestLogitRows, Math.floor(library.logitsAtOnce / vocabulary)))
      const loss = backend.allocate([])
      const perToken = backend.allocate([rows])
      const dx = wantInputGradient ? backend.allocate(x.shape) : undefined
      const dHead = wantHeadGradient ? backend.allocate(head.shape) : undefined
      backend.withScratch(chunk * vocabulary, (logits) =>
        library.cross_entropy(
          at(loss),
          at(perToken),
          dx ? at(dx) : null,
          dHead ? at(dHead) : null,
          logits,
          at(x),
          at(head),
          backend.integers(targets),
          at(weights),
          rows,
          width,
          vocabulary,
          chunk,
        ),
      )
      return [loss, perToken, ...(dx ? [dx] : []), ...(dHead ? [dHead] : [])]
    },
  } satisfies Partial<FusedKernels>
}

function pointwiseKernels(backend: DeviceBackend) {
  const { library } = backend
  const at = (tensor: TensorInfo): bigint => backend.address(tensor)
  return {
    rmsNorm: ({ x, gain }, { epsilon }) => {
      const y = backend.allocate(x.shape)
      const inverseRms = backend.allocate([x.shape[0]!])
      library.rms_norm(at(y), at(inverseRms), at(x), at(gain), ...matrix(x), epsilon)
      return [y, inverseRms]
    },

    rmsNormInputGradient: ({ dy, x, gain, inverseRms, sum }) => {
      const dx = sum ? backend.takeOver(sum) : backend.allocate(x.shape)
      const [rows, width] = matrix(x)
      library.rms_norm_input_gradient(
        ...([at(dx), at(dy), at(x), at(gain), at(inverseRms), sum ? 1 : 0, rows, width] as const),
      )
      return dx
    },

    rmsNormGainGradient: ({ dy, x, inverseRms }) => {
      const dgain = backend.allocate([x.shape[1]!])
      library.rms_norm_gain_gradient(at(dgain), at(dy), at(x), at(inverseRms), ...matrix(x))
      return dgain
    },

    rope: ({ x, cos, sin }, { sequence, heads, headDim, inverse }) => {
      const y = backend.allocate(x.shape)
      const direction = inverse ? -1 : 1
      library.rope(at(y), at(x), at(cos), at(sin), x.shape[0]!, sequence, heads, headDim, direction)
      return y
    },

    swiglu: ({ gate, up }) => {
      const y = backend.allocate(gate.shape)
      library.swiglu(at(y), at(gate), at(up), size(gate))
      return y
    },

    swigluGradient: ({ dy, gate, up }) => {
      const dGate = backend.allocate(gate.shape)
      const dUp = backend.allocate(gate.shape)
      library.swiglu_backward(at(dGate), at(dUp), at(dy), at(gate), at(up), size(gate))
      return [dGate, dUp]
    },

    dropout: ({ x }, attributes) => {
      const y = backend.allocate(x.shape)
      drop(backend, y, x, attributes, false)
      return y
    },

    roundBfloat16: ({ x }) => {
      const out = backend.allocate(x.shape)
      library.round_bfloat16(at(out), at(x), size(x))
      return out
    },

    embedding: ({ ids, table }) => {
      const y = backend.allocate([size(ids), table.shape[1]!])
      library.embedding(at(y), at(table), backend.integers(ids), size(ids), table.shape[1]!, table.shape[0]!)
      return y
    },

    embeddingGradient: ({ dy, ids }, { vocabulary }) => {
      const dTable = backend.allocate([vocabulary, dy.shape[1]!])
      library.embedding_backward(at(dTable), at(dy), backend.integers(ids), ...matrix(dy), vocabulary)
      return dTable
    },

    add: ({ a, b }) => {
      const out = backend.allocate(a.shape)
      library.add(at(out), at(a), at(b), size(a))
      return out
    },

    scaleByScalar: ({ x, factor }) => {
      const value = (backend.readSync(factor.dataId) as Float32Array)[0]!
      if (value === 1) return backend.share(x)
      const out = backend.allocate(x.shape)
      library.scale(at(out), at(x), value, size(x))
      return out
    },
  } satisfies Partial<FusedKernels>
}

function attentionKernels(backend: DeviceBackend) {
  const { library } = backend
  const at = (tensor: TensorInfo): bigint => backend.address(tensor)
  const sizes = (shape: AttentionShape) =>
    [
      shape.batch,
      shape.sequence,
      shape.heads,
      shape.keyValueHeads,
      shape.headDim,
      shape.window,
      1 / Math.sqrt(shape.headDim),
    ] as const
  return {
    causalAttention: ({ q, k, v }, shape) => {
      const output = backend.allocate(q.shape)
      const logSumExp = backend.allocate([shape.batch, shape.heads, shape.sequence])
      library.attention(at(output), at(logSumExp), at(q), at(k), at(v), ...sizes(shape))
      return [output, logSumExp]
    },

    causalAttentionGradient: ({ dOutput, output, logSumExp, q, k, v }, shape) => {
      const [dq, dk, dv] = [q, k, v].map((t) => backend.allocate(t.shape)) as Three
      library.attention_backward(
        ...([at(dq), at(dk), at(dv), at(dOutput), at(output), at(logSumExp), at(q), at(k), at(v)] as const),
        ...sizes(shape),
      )
      return [dq, dk, dv]
    },

    cachedAttention: ({ q, keys, values, lengths }, { heads, keyValueHeads, headDim, window }) => {
      const y = backend.allocate(q.shape)
      const [batch, capacity] = matrix(keys)
      library.cached_attention(
        at(y),
        at(q),
        at(keys),
        at(values),
        backend.integers(lengths),
        ...([batch, capacity, heads, keyValueHeads, headDim, window, 1 / Math.sqrt(headDim)] as const),
      )
      return y
    },
  } satisfies Partial<FusedKernels>
}
