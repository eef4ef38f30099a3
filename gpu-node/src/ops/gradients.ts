/**
 * The backward pass: a walk over TensorFlow.js's tape that lets go of memory as it goes.
 *
 * `tf.grads` keeps every saved tensor and every intermediate gradient until the walk is over. Here a node's saved
 * tensors and output gradients are disposed of as soon as the node is done, what no trained parameter needs is disposed
 * of before the walk, and a parameter's gradient is handed over when it is complete, so that it can be added to an
 * accumulator and forgotten.
 *
 * The tape belongs to the engine of @tensorflow/tfjs-core 4.22: `startTape`, `endTape` and `state.activeTape` are
 * what its own `gradients` uses.
 */

import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core'
import { engine, keep, onesLike, scalar, tidy, zerosLike } from '@tensorflow/tfjs-core'
import { asAdding } from './register.ts'
import { detachKernel, registryPrefix, runFused } from './registry.ts'

export interface TapeNode {
  id: number
  kernelName: string
  inputs: Record<string, Tensor>
  outputs: Tensor[]
  saved: Tensor[]
  /**
   * Gradients by input from those of the outputs (null stands for zeros). `active` has the ids of the tensors whose
   * gradients are wanted; TensorFlow.js's own rules do without it.
   */
  gradient?: (dys: (Tensor | null)[], active?: ReadonlySet<number>) => Record<string, () => Tensor>
}

interface TapeEngine {
  startTape(): void
  endTape(): void
  state: { activeTape: TapeNode[] | null; kernelDepth: number; nextTapeNodeId: number }
}

export const tapeEngine = (): TapeEngine => engine() as unknown as TapeEngine

/** Receives the finished gradient of one of the watched tensors and owns it from then on. */
export type GradientSink = (gradient: Tensor, index: number) => void

/**
 * Runs f and walks back from its scalar to the parameters. `onGradient` is called at most once per parameter, in the
 * order in which gradients complete (last layer first); a parameter that f does not use is left out.
 * The caller disposes of the returned loss.
 */
export function backward(
  f: () => Scalar,
  parameters: readonly Variable[],
  onGradient: (parameter: Variable, gradient: Tensor) => void,
): Scalar {
  if (engine().isTapeOn()) throw new Error('backward inside a recorded function is not supported')
  const { outputs, tape } = record(() => [f()])
  const loss = outputs[0] as Scalar
  const seed = tidy(() => onesLike(loss))
  walkBack(tape, parameters, [loss], [seed], (gradient, index) => onGradient(parameters[index]!, gradient))
  return loss
}

/** `backward` with all gradients at once, zeros for a parameter that f does not use. The caller disposes of all. */
export function valueAndGradients(
  f: () => Scalar,
  parameters: readonly Variable[],
): { value: Scalar; gradients: Tensor[] } {
  const found = new Map<Variable, Tensor>()
  const value = backward(f, parameters, (parameter, gradient) => found.set(parameter, gradient))
  return { value, gradients: parameters.map((p) => found.get(p) ?? tidy(() => zerosLike(p))) }
}

/** Runs f with a tape of its own, whatever tape is active outside. */
export function record(f: () => Tensor[]): { outputs: Tensor[]; tape: TapeNode[] } {
  const tapes = tapeEngine()
  const outer = tapes.state.activeTape
  tapes.startTape()
  tapes.state.activeTape = []
  try {
    const outputs = tidy(f)
    return { outputs, tape: tapes.state.activeTape }
  } catch (error) {
    for (const node of tapes.state.activeTape) release(node)
    throw error
  } finally {
    tapes.endTape()
    tapes.state.activeTape = outer
  }
}

/**
 * Walks a tape backward from outputs whose gradients are given (and owned from now on) to the sources. All saved
 * tensors of the tape are gone when this returns or throws.
 */
export function walkBack(
  tape: TapeNode[],
  sources: readonly Tensor[],
  outputs: readonly Tensor[],
  outputGradients: readonly Tensor[],
  sink: GradientSink,
): void {
  const { nodes, active } = relevantNodes(tape, sources, outputs)
  const indexOfSource = new Map(sources.map((source, index) => [source.id, index]))
  const firstUse = new Map<number, TapeNode>()
  for (const node of [...nodes].reverse())
    for (const input of Object.values(node.inputs))
      if (indexOfSource.has(input.id)) firstUse.set(input.id, node)

  const gradients = new Map<number, Tensor>()
  for (const [i, output] of outputs.entries()) addGradient(gradients, output.id, keep(outputGradients[i]!))
  const placeholder = keep(scalar(0))
  try {
    for (const node of nodes.reverse()) {
      const missing = isFused(node) ? placeholder : null
      const dys = node.outputs.map((output) => gradients.get(output.id) ?? missing)
      addInputGradients(gradients, node, dys, active)
      for (const output of node.outputs) {
        gradients.get(output.id)?.dispose()
        gradients.delete(output.id)
      }
      release(node)
      for (const input of Object.values(node.inputs)) {
        if (firstUse.get(input.id) !== node) continue
        const gradient = gradients.get(input.id)
        if (!gradient) continue
        gradients.delete(input.id)
        sink(gradient, indexOfSource.get(input.id)!)
      }
    }
  } finally {
    placeholder.dispose()
    for (const gradient of gradients.values()) gradient.dispose()
    for (const node of tape) release(node)
  }
}

/** The nodes on a path from a source to an output, in tape order; what the others saved is released at once. */
function relevantNodes(tape: TapeNode[], sources: readonly Tensor[], outputs: readonly Tensor[]) {
  const active = new Set(sources.map((source) => source.id))
  for (const node of tape) {
    if (node.kernelName === detachKernel) continue
    if (Object.values(node.inputs).some((input) => active.has(input.id)))
      for (const output of node.outputs) active.add(output.id)
  }
  const needed = new Set(outputs.map((output) => output.id))
  const nodes: TapeNode[] = []
  for (const node of [...tape].reverse()) {
    const inputs = Object.values(node.inputs).filter((input) => active.has(input.id))
    const onPath =
      node.kernelName !== detachKernel && inputs.length > 0 && node.outputs.some((o) => needed.has(o.id))
    if (!onPath) {
      release(node)
      continue
    }
    nodes.push(node)
    for (const input of inputs) needed.add(input.id)
  }
  return { nodes: nodes.reverse(), active }
}

/** Adds the gradients of the active inputs of one node to those that are there, by id; no scope disposes of them. */
function addInputGradients(
  gradients: Map<number, Tensor>,
  node: TapeNode,
  dys: (Tensor | null)[],
  active: Set<number>,
): void {
  const { gradient } = node
  if (!gradient) throw new Error(`the kernel ${node.kernelName} has no gradient`)
  tidy(() => {
    const rules = gradient(dys, active)
    for (const [name, input] of Object.entries(node.inputs)) {
      if (!active.has(input.id)) continue
      const rule = rules[name]
      if (!rule) throw new Error(`the kernel ${node.kernelName} has no gradient for its input ${name}`)
      const before = gradients.get(input.id)
      const adding = before && asAdding(rule)
      if (adding) {
        gradients.set(input.id, keep(adding(before)))
        before.dispose()
      } else {
        const dx = rule()
        addGradient(gradients, input.id, keep(dys.includes(dx) ? dx.clone() : dx))
      }
    }
  })
}

function addGradient(gradients: Map<number, Tensor>, id: number, gradient: Tensor): void {
  const before = gradients.get(id)
  if (!before) {
    gradients.set(id, gradient)
    return
  }
  gradients.set(id, keep(tidy(() => runFused('add', { a: before, b: gradient }))))
  before.dispose()
  gradient.dispose()
}

/** Our own gradients look at the first output's only, so that the others need no zeros. */
const isFused = (node: TapeNode): boolean => node.kernelName.startsWith(registryPrefix)

function release(node: TapeNode): void {
  for (const tensor of node.saved) tensor.dispose()
  node.saved = []
}
