/** The spectra of one run: measures for all of them, singular values for those that came live or were asked for. */
import {
  fromFloat64Bytes,
  fromJsonNumber,
  type RecordBodyOf,
  type SpectrumPart,
  targetModuleNames,
} from '@rankscope/protocol'

export type SpectrumEntry = {
  step: number
  module: string
  part: SpectrumPart
  /** One of the spectra of all modules after training. */
  final: boolean
  rows: number
  columns: number
  frobenius: number
  measures: Readonly<Record<string, number>>
  /** Descending; null until they are fetched. */
  singularValues: Float64Array | null
}

type JsonEntry = {
  step: number
  module: string
  part: SpectrumPart
  final: boolean
  rows: number
  columns: number
  frobenius: Parameters<typeof fromJsonNumber>[0]
  measures: Record<string, Parameters<typeof fromJsonNumber>[0]>
  singularValues?: Parameters<typeof fromJsonNumber>[0][]
}

export class SpectrumIndex {
  /** By module and part, ascending by step; a live and a final spectrum of one step are kept side by side. */
  readonly #lists = new Map<string, SpectrumEntry[]>()

  list(module: string, part: SpectrumPart): readonly SpectrumEntry[] {
    return this.#lists.get(key(module, part)) ?? []
  }

  /** Modules that have a spectrum, in the model’s order. */
  modules(): string[] {
    const names = new Set<string>()
    for (const list of this.#lists.values()) if (list[0]) names.add(list[0].module)
    return [...names].sort(compareModules)
  }

  parts(): SpectrumPart[] {
    const parts = new Set<SpectrumPart>()
    for (const list of this.#lists.values()) if (list[0]) parts.add(list[0].part)
    return [...parts]
  }

  /** Modules watched during training: those with a spectrum that is not a final one. */
  liveModules(): string[] {
    return this.modules().filter((module) => this.list(module, 'total').some((entry) => !entry.final))
  }

  finals(part: SpectrumPart): SpectrumEntry[] {
    return this.modules().flatMap((module) => this.list(module, part).filter((entry) => entry.final))
  }

  /** The newest spectrum at or before a step; the first one where all come later. */
  at(module: string, part: SpectrumPart, step: number): SpectrumEntry | null {
    const list = this.list(module, part)
    let found: SpectrumEntry | null = list[0] ?? null
    for (const entry of list) {
      if (entry.step > step) break
      found = entry
    }
    return found
  }

  latest(module: string, part: SpectrumPart): SpectrumEntry | null {
    return this.list(module, part).at(-1) ?? null
  }

  /** Put an entry in its place; the same spectrum told again replaces the old one and keeps known values. */
  add(entry: SpectrumEntry): void {
    const name = key(entry.module, entry.part)
    const list = this.#lists.get(name) ?? []
    if (list.length === 0) this.#lists.set(name, list)
    let index = list.length
    while (index > 0 && order(list[index - 1]!, entry) > 0) index--
    const same = index > 0 ? list[index - 1] : undefined
    if (same && order(same, entry) === 0) {
      list[index - 1] = { ...entry, singularValues: entry.singularValues ?? same.singularValues }
    } else list.splice(index, 0, entry)
  }

  /** A run that went back to a checkpoint: what came after its step did not happen. */
  truncateAfter(step: number): void {
    for (const [name, list] of this.#lists) {
      const kept = list.filter((entry) => entry.step <= step)
      if (kept.length === 0) this.#lists.delete(name)
      else this.#lists.set(name, kept)
    }
  }

  clear(): void {
    this.#lists.clear()
  }
}

/**
 * Steps at which a spectrum was due and none was recorded: where decomposing takes longer than training, snapshots that
 * wait give way to newer ones. Up to the newest recorded step; the later ones may be under way.
 */
export function skippedSteps(
  recorded: readonly Pick<SpectrumEntry, 'step' | 'final'>[],
  everySteps: number | null,
): number[] {
  const live = recorded.filter((entry) => !entry.final).map((entry) => entry.step)
  if (everySteps === null || live.length === 0) return []
  const known = new Set(live)
  const due = Math.floor(Math.max(...live) / everySteps)
  return Array.from({ length: due }, (_, index) => (index + 1) * everySteps).filter(
    (step) => !known.has(step),
  )
}

export function entryFromJson(entry: JsonEntry): SpectrumEntry {
  return {
    step: entry.step,
    module: entry.module,
    part: entry.part,
    final: entry.final,
    rows: entry.rows,
    columns: entry.columns,
    frobenius: fromJsonNumber(entry.frobenius),
    measures: Object.fromEntries(
      Object.entries(entry.measures).map(([name, value]) => [name, fromJsonNumber(value)]),
    ),
    singularValues: entry.singularValues ? Float64Array.from(entry.singularValues, fromJsonNumber) : null,
  }
}

export function entryFromRecord(body: RecordBodyOf<'spectrum'>): SpectrumEntry {
  return {
    step: body.step,
    module: body.module,
    part: body.part,
    final: body.final,
    rows: body.rows,
    columns: body.columns,
    frobenius: body.frobenius,
    measures: body.measures,
    singularValues: fromFloat64Bytes(new Uint8Array(body.singularValues)),
  }
}

/** The model’s order: layer 2 before layer 10, q, k, v, o, gate, up, down within a layer; others by name. */
export function compareModules(a: string, b: string): number {
  const [layerA, layerB] = [withoutProjection(a), withoutProjection(b)]
  return (
    layerA.localeCompare(layerB, 'en', { numeric: true }) ||
    projectionOrder(a) - projectionOrder(b) ||
    a.localeCompare(b, 'en', { numeric: true })
  )
}

function withoutProjection(module: string): string {
  return /layers\.\d+/.exec(module)?.[0] ?? module
}

function projectionOrder(module: string): number {
  const index = targetModuleNames.findIndex((name) => module.endsWith(`.${name}`))
  return index === -1 ? targetModuleNames.length : index
}

function key(module: string, part: SpectrumPart): string {
  return `${part} ${module}`
}

function order(a: SpectrumEntry, b: SpectrumEntry): number {
  return a.step - b.step || Number(a.final) - Number(b.final)
}
