/**
 * The forward pass of the Llama family, written once in fused ops:
 *
 *   x = embedding(ids)
 *   per block:  x += o(attention(rope(q(h)), rope(k(h)), v(h)))   h = rmsNorm(x); Qwen3 normalises q and k by head
 *               x += down(silu(gate(h)) * up(h))                  h = rmsNorm(x)
 *   loss = cross-entropy(rmsNorm(x), head, next token)
 *
 * Activations are [rows, width], rows = batch * sequence with a sequence contiguous. Every linear layer goes
 * through a `LinearHook`, which is how a fine-tuning method puts its adapter in.
 */
import {
  reshape,
  type Scalar,
  type Tensor,
  type Tensor1D,
  type Tensor2D,
  tensor1d,
  tidy,
} from '@tensorflow/tfjs-core'
import {
  add,
  causalAttention,
  checkpoint,
  crossEntropy,
  embedding,
  linear,
  logits,
  rmsNorm,
  rope,
  swiglu,
} from '../ops/index.ts'
import type { Model } from './model.ts'
import { embeddingName, finalNormName, headName, modulePath } from './parameters.ts'
import type { RopeTable } from './rope-table.ts'

/** y [rows, out] of a linear layer for x [rows, in]; `module` is e.g. `model.layers.0.self_attn.q_proj`. */
export type LinearHook = (module: string, x: Tensor2D) => Tensor2D

/** Token rows of one forward pass: `batch` sequences of `sequence` tokens each, padded on the right. */
export interface TokenBatch {
  readonly batch: number
  readonly sequence: number
  /** [batch * sequence] */
  readonly inputIds: Int32Array
  /** [batch * sequence] the token that should follow each position, -100 where nothing is asked. */
  readonly targets: Int32Array
  /** [batch * sequence] weight of each position's cross-entropy in the loss. */
  readonly weights: Float32Array
}

/** What differs between training, reading a prompt and decoding one token: positions and who attends to what. */
export interface Pass {
  readonly rope: RopeTable
  /** Row i of the activations has row i mod `ropePeriod` of the table. */
  readonly ropePeriod: number
  /** Keep only the input of each block for the backward pass, and run the block again there. */
  readonly checkpointBlocks: boolean
  /** Output [rows, heads * headDim] of attention in `layer` for rotated queries and keys. */
  attend(layer: number, q: Tensor2D, k: Tensor2D, v: Tensor2D): Tensor2D
}

/** The model's own linear layers, without any adapter. */
export function plainLinear(model: Model): LinearHook {
  return (module, x) => linear(x, model.weight(`${module}.weight`), model.weights.get(`${module}.bias`))
}

/**
 * Whole sequences from position 0. `context`: tokens of the text that they are of, which is longer by one where the last
 * token is only predicted.
 */
export function sequencePass(model: Model, batch: number, sequence: number, context = sequence): Pass {
  return {
    rope: model.rope.upTo(sequence, context),
    ropePeriod: sequence,
    checkpointBlocks: false,
    attend: (layer, q, k, v) =>
      causalAttention(q, k, v, { batch, sequence, ...attentionShape(model, layer) }),
  }
}

/** Heads and window of a layer's attention. */
export function attentionShape(model: Model, layer: number) {
  const { heads, keyValueHeads, headDim, slidingWindow, slidingLayers } = model.config
  const window = slidingWindow !== null && slidingLayers[layer] ? slidingWindow : 0
  return { heads, keyValueHeads, headDim, window }
}

/** Normalised output of the last block, [rows, hiddenSize], for ids [rows] (int32). */
export function hiddenStates(model: Model, ids: Tensor1D, pass: Pass, hook: LinearHook): Tensor2D {
  let x: Tensor = embedding(ids, model.weight(embeddingName))
  for (let layer = 0; layer < model.config.layers; layer++) {
    const run = (input: Tensor) => block(model, layer, input, pass, hook)
    x = pass.checkpointBlocks ? checkpoint(run, [x]) : run(x)
  }
  return rmsNorm(x, model.weight(finalNormName), model.config.rmsNormEpsilon)
}

/** One transformer block: x [rows, hiddenSize] -> same shape. */
function block(model: Model, layer: number, x: Tensor, pass: Pass, hook: LinearHook): Tensor {
  const { heads, keyValueHeads, headDim, rmsNormEpsilon, queryKeyNorm } = model.config
  const norm = (name: string, input: Tensor) =>
    rmsNorm(input, model.weight(`model.layers.${layer}.${name}.weight`), rmsNormEpsilon)
  const rotate = (input: Tensor2D, headCount: number) =>
    rope(input, pass.rope.cos, pass.rope.sin, { sequence: pass.ropePeriod, heads: headCount, headDim })
  /** Each head of each row normalised by itself, where the model does so. */
  const perHead = (name: string, input: Tensor2D): Tensor2D =>
    queryKeyNorm
      ? (reshape(norm(`self_attn.${name}`, reshape(input, [-1, headDim])), input.shape) as Tensor2D)
      : input

  const h = norm('input_layernorm', x)
  const q = rotate(perHead('q_norm', hook(modulePath(layer, 'q_proj'), h)), heads)
  const k = rotate(perHead('k_norm', hook(modulePath(layer, 'k_proj'), h)), keyValueHeads)
  const v = hook(modulePath(layer, 'v_proj'), h)
  const attended = hook(modulePath(layer, 'o_proj'), pass.attend(layer, q, k, v))
  const middle = add(x, attended)

  const g = norm('post_attention_layernorm', middle)
  const gated = swiglu(hook(modulePath(layer, 'gate_proj'), g), hook(modulePath(layer, 'up_proj'), g))
  return add(middle, hook(modulePath(layer, 'down_proj'), gated))
}

/** The matrix [V, D] that turns hidden states into logits. */
export function headWeight(model: Model): Tensor2D {
  return model.weight(model.config.tiedEmbeddings ? embeddingName : headName) as Tensor2D
}

/**
 * loss = sum over rows of weights_i * cross-entropy_i, and the cross-entropies [rows] (0 where ignored). The
 * caller owns both; everything else is freed, or kept by the tape while gradients are wanted (per block its input
 * alone with `checkpointBlocks`; the hook must then give the same output for the same input).
 */
export function loss(
  model: Model,
  batch: TokenBatch,
  hook: LinearHook = plainLinear(model),
  { checkpointBlocks = false } = {},
): { loss: Scalar; perToken: Tensor1D } {
  return tidy(() => {
    const pass = {
      ...sequencePass(model, batch.batch, batch.sequence, batch.sequence + 1),
      checkpointBlocks,
    }
    const x = hiddenStates(model, tensor1d(batch.inputIds, 'int32'), pass, hook)
    return crossEntropy(x, headWeight(model), tensor1d(batch.targets, 'int32'), tensor1d(batch.weights))
  })
}

/** Logits [batch * sequence, V] of whole sequences; for tests and small inputs, since it holds all of them. */
export function sequenceLogits(
  model: Model,
  ids: Int32Array,
  shape: { batch: number; sequence: number },
  hook: LinearHook = plainLinear(model),
): Tensor2D {
  return tidy(() => {
    const pass = sequencePass(model, shape.batch, shape.sequence)
    return logits(hiddenStates(model, tensor1d(ids, 'int32'), pass, hook), headWeight(model))
  })
}
