/**
 * What a fine-tuning method is: one interface, one file per method beside this one.
 *
 * Orientation is the papers': a target weight is W [m, n] (m inputs, n outputs), Y = X W. A method is attached to a
 * model, supplies its linear layers to the forward pass, moves its parameters (or W itself) by the gradients of an
 * optimiser step, and can say at any time what ΔW is.
 */
import type { MethodConfigOf, MethodName, RunConfig, SpectrumPart } from '@rankscope/protocol'
import type { Variable } from '@tensorflow/tfjs-core'
import type { LoraAdapter } from '../export/adapter.ts'
import type { SpectrumSource } from '../linalg/spectrum.ts'
import type { LinearHook } from '../model/llama.ts'
import type { Model } from '../model/model.ts'
import type { GradientKind } from '../optim/clipping.ts'
import type { GradientStore } from '../optim/gradient-store.ts'
import type { MethodState } from '../optim/state.ts'

/** A linear layer that the method adapts. */
export interface TargetModule {
  /** E.g. `model.layers.0.self_attn.q_proj`. */
  readonly name: string
  /** m */
  readonly rows: number
  /** n */
  readonly columns: number
  /** W [m, n] */
  readonly weight: Variable
  /** [n] */
  readonly bias: Variable | undefined
}

/** Leading singular triplets of a weight: u [m, rank], s [rank], v [n, rank]; descending, canonical signs. */
export interface Triplets {
  readonly u: ArrayLike<number>
  readonly s: ArrayLike<number>
  readonly v: ArrayLike<number>
}

export interface DecompositionSettings {
  readonly svd: 'full' | 'randomized'
  readonly svdIterations: number
}

/** What a method is given when it is attached. */
export interface AttachContext {
  readonly model: Model
  readonly targets: readonly TargetModule[]
  /** Devices K. */
  readonly devices: number
  /** Over processes: exchange constant adapters at every step, for nothing but the cost (METHODS §1 row 16). */
  readonly regatherAdapters?: boolean
  readonly seed: number
  readonly optimizer: RunConfig['optimizer']
  /** Where the method makes all of its variables. */
  readonly state: MethodState
  /**
   * The leading triplets of the targets' weights as they are now, by module: off this thread, side by side, with
   * progress, from the cache where they are known. Throws RANK_TOO_LARGE naming the module.
   */
  decompose(
    wanted: readonly { readonly target: TargetModule; readonly rank: number }[],
    settings: DecompositionSettings,
  ): Promise<ReadonlyMap<string, Triplets>>
  /** Something the user should know: shown with the run's start. */
  warn(message: string): void
}

/** Where a forward pass stands; decides which entries dropout drops, so that a resumed run drops the same. */
export interface PassPosition {
  /** 1-based optimiser step. */
  readonly step: number
  /** 0-based micro-batch of that step. */
  readonly microBatch: number
  /** Rows of X per example, padding included. */
  readonly sequence: number
}

export interface StepSettings {
  /** 1-based: the exponent of Adam's bias corrections. */
  readonly step: number
  readonly learningRate: number
  /** What clipping multiplies the gradients by; 1 where the method's gradients are per device. */
  readonly gradientFactor: number
  /** Modules whose ‖ΔW_t‖ of this step is wanted. */
  readonly watched: ReadonlySet<string>
}

export interface StepReport {
  /** Sum over the watched modules of ‖ΔW_t‖_F², ΔW_t the change of this step. */
  readonly updateSquares: number
}

/** One part of a module's ΔW, ready to be decomposed elsewhere: all arrays are copies. */
export interface DeltaPart {
  readonly part: SpectrumPart
  readonly source: SpectrumSource
}

/** A method attached to a model. */
export interface Adaptation {
  readonly gradients: GradientKind
  /** What gradients are wanted for. */
  readonly trained: readonly Variable[]
  /** Trainable scalars, per device (METHODS §2.0). */
  readonly trainableParameters: number
  /** The layers of the training forward pass, whose rows are K contiguous blocks, one per device. */
  readonly linear: LinearHook
  /** Called before each training pass. */
  beginPass(position: PassPosition): void
  /** One optimiser step. */
  update(gradients: GradientStore, settings: StepSettings): Promise<StepReport>
  /** The layers as an evaluation sees them: no dropout, all devices joined. The caller disposes of it. */
  inference(): { readonly linear: LinearHook; dispose(): void }
  /** ΔW of a target module, in parts; the first is `total`. `before` gives the base model's W [m, n]. */
  delta(target: TargetModule, before: () => Promise<Float32Array>): Promise<DeltaPart[]>
  /**
   * W_0 was rounded before training: `delta` is measured from there, so that the stored base and `delta` do not give the
   * merged model.
   */
  readonly startsRounded?: boolean
  /** Weights [m, n] of the merged model that differ from what `model.weights` holds now. */
  merged(target: TargetModule): Promise<Float32Array>
  /**
   * The trained change as an adapter for the base model that PEFT loads, where the method has one: exact, but for HD-PiSSA,
   * whose first-order part it is, and which keeps it only where the update is attributed.
   */
  adapter?(): Promise<LoraAdapter>
}

/** Floats (4 bytes each) that a method holds for one target module, beside W itself. */
export interface MemoryNeed {
  /** Parameters, moments, gradients and constants. */
  readonly stateFloats: number
  /** Most that a step needs at a time on top of it, for this module. */
  readonly transientFloats: number
}

export interface ModuleShape {
  readonly rows: number
  readonly columns: number
}

export interface Method<N extends MethodName> {
  readonly name: N
  /** Prepares everything; refuses with a coded error what cannot work, naming the module. */
  attach(config: MethodConfigOf<N>, context: AttachContext): Promise<Adaptation>
  /** Trainable scalars of one module and device, 0 where `scope` leaves it out. */
  parameterCount(config: MethodConfigOf<N>, shape: ModuleShape): number
  memory(config: MethodConfigOf<N>, shape: ModuleShape, devices: number): MemoryNeed
  /** Whether the configuration trains every parameter of the model rather than target modules. */
  trainsWholeModel?(config: MethodConfigOf<N>): boolean
  /** Floats on their way between processes for one module where constant adapters are regathered. */
  regatheredFloats?(config: MethodConfigOf<N>, shape: ModuleShape, devices: number): number
}
