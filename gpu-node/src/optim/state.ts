/**
 * Everything that a method remembers: its variables by name. Because all of it is made here, checkpoints, resuming
 * and disposal need no code in the methods.
 */
import { RankscopeError } from '@rankscope/protocol'
import type { Tensor, Variable } from '@tensorflow/tfjs-core'
import type { Collective } from '../collectives/collective.ts'
import { copy, parameter } from '../ops/update.ts'

/** Values by name, from a checkpoint or from a test. */
export interface InitialValues {
  /** The values, or null where there are none; `shape` is what the method needs. */
  read(name: string, shape: readonly number[]): Float32Array | null
  /** True for a checkpoint: every value must be there. */
  readonly complete: boolean
}

export interface StateEntry {
  readonly name: string
  readonly shape: readonly number[]
  /** A copy of the present values. */
  read(): Promise<Float32Array>
}

export class MethodState {
  /** The other ranks, where each device is a process of its own; null where all devices are here. */
  readonly collective: Collective | null
  readonly #initial: InitialValues | null
  readonly #entries = new Map<string, StateEntry>()
  readonly #names = new Map<Variable, string>()
  readonly #owned: Variable[] = []

  constructor(initial: InitialValues | null = null, collective: Collective | null = null) {
    this.#initial = initial
    this.collective = collective
  }

  /** Whether the values of `name` come from outside, so that there is no need to compute them. */
  isGiven(name: string, shape: readonly number[]): boolean {
    return this.#given(name, shape) !== null
  }

  /** A variable of the method's own, starting from given values or from what `make` returns. */
  variable(name: string, shape: readonly number[], make: () => Float32Array): Variable {
    const made = parameter(this.#given(name, shape) ?? make(), shape)
    this.#owned.push(made)
    this.#names.set(made, name)
    this.#register({ name, shape, read: () => readValues(made) })
    return made
  }

  zeros(name: string, shape: readonly number[]): Variable {
    return this.variable(name, shape, () => new Float32Array(sizeOf(shape)))
  }

  /** Zeros [K, …] of which this process holds those of its own devices; saved whole. */
  zerosPerDevice(name: string, shape: readonly number[]): Variable {
    const { collective } = this
    if (!collective) return this.zeros(name, shape)
    const local = [1, ...shape.slice(1)]
    const given = this.#given(name, shape)
    const made = parameter(given ? partOf(given, collective) : new Float32Array(sizeOf(local)), local)
    this.#owned.push(made)
    this.#names.set(made, name)
    this.#register({ name, shape, read: async () => collective.allGather(await readValues(made)) })
    return made
  }

  /** The devices of this process out of a variable [K, …]: itself, or a copy of the rank's part. */
  ownDevices(all: Variable): Variable {
    const { collective } = this
    if (!collective) return all
    const values = partOf(all.dataSync() as Float32Array, collective)
    const own = this.own(parameter(values, [1, ...all.shape.slice(1)]))
    this.#names.set(own, this.#names.get(all) ?? 'adapter')
    return own
  }

  /**
   * Writes what every rank found for its devices over `all` [K, …], for all pairs in one exchange: ranks meet once in
   * a step rather than once per module. Nothing to do where all devices are here.
   */
  async joinDevices(pairs: readonly { readonly all: Variable; readonly own: Variable }[]): Promise<void> {
    const { collective } = this
    if (!collective) return
    const sent = new Float32Array(pairs.reduce((sum, { own }) => sum + own.size, 0))
    let start = 0
    for (const { own } of pairs) {
      sent.set((await own.data()) as Float32Array, start)
      start += own.size
    }
    const received = await collective.allGather(sent)
    start = 0
    for (const { all, own } of pairs) {
      const values = new Float32Array(all.size)
      for (let rank = 0; rank < collective.size; rank++) {
        const from = rank * sent.length + start
        values.set(received.subarray(from, from + own.size), rank * own.size)
      }
      assignValues(all, values)
      start += own.size
    }
  }

  /** A constant that lives on the host. */
  constant(name: string, shape: readonly number[], make: () => Float32Array): Float32Array {
    const values = this.#given(name, shape) ?? make()
    this.#register({ name, shape, read: async () => values.slice() })
    return values
  }

  /** A weight of the model that training changes; the model stays its owner. */
  adopt(name: string, weight: Variable): Variable {
    const given = this.#given(name, weight.shape)
    if (given) assignValues(weight, given)
    this.#names.set(weight, name)
    this.#register({ name, shape: weight.shape, read: () => readValues(weight) })
    return weight
  }

  /** A variable that follows from the rest: disposed of with it, not saved. */
  own(made: Variable): Variable {
    this.#owned.push(made)
    return made
  }

  entries(): StateEntry[] {
    return [...this.#entries.values()]
  }

  /** What training may change in this process, by name: parameters, moments, adopted weights. */
  variables(): ReadonlyMap<Variable, string> {
    return this.#names
  }

  dispose(): void {
    for (const variable of this.#owned) variable.dispose()
    this.#owned.length = 0
    this.#names.clear()
    this.#entries.clear()
  }

  #given(name: string, shape: readonly number[]): Float32Array | null {
    const values = this.#initial?.read(name, shape) ?? null
    if (values === null && this.#initial?.complete)
      throw new RankscopeError('CHECKPOINT_BROKEN', `the checkpoint has no tensor ${name}`, {
        hint: 'It belongs to another method or other target modules; start the run afresh.',
      })
    if (values !== null && values.length !== sizeOf(shape))
      throw new RankscopeError(
        'CHECKPOINT_BROKEN',
        `tensor ${name} has ${values.length} values, shape [${shape.join(', ')}] needs ${sizeOf(shape)}`,
        { hint: 'It belongs to another rank or another number of devices; start the run afresh.' },
      )
    return values
  }

  #register(entry: StateEntry): void {
    if (this.#entries.has(entry.name)) throw new Error(`two parts of the state are named ${entry.name}`)
    this.#entries.set(entry.name, entry)
  }
}

function partOf(values: Float32Array, { rank, size }: Collective): Float32Array {
  const length = values.length / size
  return values.slice(rank * length, (rank + 1) * length)
}

/** A copy of a tensor's values that nobody else changes. */
export async function readValues(tensor: Tensor): Promise<Float32Array> {
  return ((await tensor.data()) as Float32Array).slice()
}

/** Overwrites a variable in place. */
export function assignValues(variable: Variable, values: Float32Array): void {
  const source = parameter(values, variable.shape)
  copy(variable, source)
  source.dispose()
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, length) => size * length, 1)
}
