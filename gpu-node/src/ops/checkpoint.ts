/**
 * Gradient checkpointing (Chen et al. 2016): a block keeps only its inputs and is run again in the backward pass.
 */
import type { Tensor } from '@tensorflow/tfjs-core'
import { clone, engine, keep, tidy, zerosLike } from '@tensorflow/tfjs-core'
import { record, type TapeNode, tapeEngine, walkBack } from './gradients.ts'

/**
 * f(...inputs), with everything that f would keep for its backward pass forgotten at once and made again when the
 * backward pass comes. f must be pure: same inputs, same output. Gradients reach the inputs and every parameter that f
 * uses; tensors that f takes from outside, other than through `inputs`, must outlive the backward pass.
 */
export function checkpoint<T extends Tensor>(f: (...inputs: Tensor[]) => T, inputs: readonly Tensor[]): T {
  if (!engine().isTapeOn()) return f(...inputs)
  const { outputs, tape } = record(() => [f(...inputs)])
  const output = outputs[0] as T
  const sources = externalInputs(tape)
  for (const node of tape) for (const tensor of node.saved) tensor.dispose()

  const saved = tapeFree(() => inputs.map((input) => keep(clone(input))))
  const { state } = tapeEngine()
  state.activeTape!.push({
    id: state.nextTapeNodeId++,
    kernelName: 'checkpoint',
    inputs: Object.fromEntries(sources.map((source, i) => [String(i), source])),
    outputs: [output],
    saved,
    gradient: ([dy], active) => {
      const wanted = active ? sources.map((source) => active.has(source.id)) : sources.map(() => true)
      return recomputed(f, inputs, saved, sources, wanted, dy!)
    },
  })
  return output
}

/** Runs the block again on the saved inputs and walks back through it. */
function recomputed(
  f: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  saved: readonly Tensor[],
  sources: readonly Tensor[],
  wanted: readonly boolean[],
  dy: Tensor,
): Record<string, () => Tensor> {
  const { outputs, tape } = record(() => [f(...saved)])
  const gradients: Record<string, () => Tensor> = {}
  const places: number[] = []
  const standIns: Tensor[] = []
  for (const [i, source] of sources.entries()) {
    gradients[String(i)] = () => zerosLike(source)
    if (!wanted[i]) continue
    // An explicit input is stood in for by its saved copy, which is what f sees now.
    const position = inputs.findIndex((input) => input.id === source.id)
    places.push(i)
    standIns.push(position < 0 ? source : saved[position]!)
  }
  const seed = tidy(() => clone(dy))
  walkBack(tape, standIns, outputs, [seed], (gradient, i) => {
    gradients[String(places[i])] = () => gradient
  })
  outputs[0]!.dispose()
  return gradients
}

/** The tensors that a tape's nodes take from outside, each once. */
function externalInputs(tape: readonly TapeNode[]): Tensor[] {
  const inside = new Set(tape.flatMap((node) => node.outputs.map((output) => output.id)))
  const outside = new Map<number, Tensor>()
  for (const node of tape)
    for (const input of Object.values(node.inputs)) if (!inside.has(input.id)) outside.set(input.id, input)
  return [...outside.values()]
}

/** Runs f with nothing recorded, the way the engine runs the inside of a kernel. */
function tapeFree<T>(f: () => T): T {
  const { state } = tapeEngine()
  state.kernelDepth++
  try {
    return f()
  } finally {
    state.kernelDepth--
  }
}
