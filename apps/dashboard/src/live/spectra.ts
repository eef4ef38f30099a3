/**
 * The spectra of one run: which there are; measures, in columns over the steps, of what was asked for; singular values of
 * those that came live or were asked for. A run of 224 modules and 1000 snapshots is known by two short lists until
 * somebody looks closer.
 */
import {
  fromFloat64Bytes,
  type RecordBodyOf,
  rankMeasures,
  type SpectraModulesAnswer,
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
  /** Those that came with the record, `frobenius` among them; the index knows more (`measureOf`). */
  measures: Readonly<Record<string, number>>
  /** Descending; null until they are fetched. */
  singularValues: Float64Array | null
}

/** A measure of one module over the steps, ascending. */
export type MeasureColumn = { steps: ArrayLike<number>; values: ArrayLike<number> }

type History = { steps: readonly number[]; final: boolean; shape: readonly [rows: number, columns: number] }

/** Singular values of modules that are no longer looked at are let go beyond about so many. */
const mostValues = 16_000_000

export class SpectrumIndex {
  /** Told by the server, by module and part. */
  readonly #history = new Map<string, History[]>()
  /** Came live. */
  readonly #live = new Map<string, SpectrumEntry[]>()
  /** Both, ascending by step; a live and a final spectrum of one step side by side. Made when first asked for. */
  readonly #lists = new Map<string, SpectrumEntry[]>()
  readonly #places = new Map<string, { module: string; part: SpectrumPart }>()
  /** Fetched, by module, part, final and measure. */
  readonly #columns = new Map<string, MeasureColumn>()
  /** Fetched, by module and part, then step and final. */
  readonly #values = new Map<string, Map<string, Float64Array>>()
  /** Grows with every change but those of singular values. */
  version = 0
  #sorted: { version: number; modules: string[]; live: string[] } | null = null

  list(module: string, part: SpectrumPart): readonly SpectrumEntry[] {
    const name = key(module, part)
    const known = this.#lists.get(name)
    if (known) return known
    const entries = new Map<string, SpectrumEntry>()
    for (const { steps, final, shape } of this.#history.get(name) ?? [])
      for (const step of steps) {
        const singularValues = this.#values.get(name)?.get(place(step, final)) ?? null
        const [rows, columns] = shape
        entries.set(place(step, final), {
          step,
          module,
          part,
          final,
          rows,
          columns,
          measures: {},
          singularValues,
        })
      }
    for (const entry of this.#live.get(name) ?? []) entries.set(place(entry.step, entry.final), entry)
    const list = [...entries.values()].sort(order)
    this.#lists.set(name, list)
    return list
  }

  /** Modules that have a spectrum, in the model’s order. */
  modules(): string[] {
    return this.#known().modules
  }

  parts(): SpectrumPart[] {
    return [...new Set([...this.#places.values()].map(({ part }) => part))]
  }

  /** Modules watched during training: those with a spectrum that is not a final one. */
  liveModules(): string[] {
    return this.#known().live
  }

  /** Sorting hundreds of modules takes long, so it is done once per change. */
  #known(): { modules: string[]; live: string[] } {
    if (this.#sorted?.version === this.version) return this.#sorted
    const isLive = (name: string) =>
      (this.#history.get(name) ?? []).some(({ final }) => !final) ||
      (this.#live.get(name) ?? []).some(({ final }) => !final)
    const modules = [...new Set([...this.#places.values()].map(({ module }) => module))].sort(compareModules)
    const live = modules.filter((module) => isLive(key(module, 'total')))
    this.#sorted = { version: this.version, modules, live }
    return this.#sorted
  }

  /** The newest spectrum at or before a step; the first one where all come later. */
  at(module: string, part: SpectrumPart, step: number): SpectrumEntry | null {
    const list = this.list(module, part)
    return list[Math.max(0, upTo(list, step) - 1)] ?? null
  }

  latest(module: string, part: SpectrumPart): SpectrumEntry | null {
    return this.list(module, part).at(-1) ?? null
  }

  /** A measure of a spectrum; null where it has none, or it was not fetched. */
  measureOf({ module, part, step, final, measures }: SpectrumEntry, measure: string): number | null {
    const own = measures[measure]
    if (own !== undefined) return own
    return this.#inColumn(`${key(module, part)} ${final} ${measure}`, measure, step)
  }

  /** Steps of the spectra of a module and part, or of any module, ascending. */
  steps(module: string | null, part: SpectrumPart): number[] {
    const found = new Set<number>()
    const lists = new Set<readonly number[]>()
    for (const [name, place] of this.#places) {
      if (place.part !== part || (module !== null && place.module !== module)) continue
      for (const { steps } of this.#history.get(name) ?? []) lists.add(steps)
      for (const { step } of this.#live.get(name) ?? []) found.add(step)
    }
    for (const steps of lists) for (const step of steps) found.add(step)
    return [...found].sort((a, b) => a - b)
  }

  /** Step of the newest spectrum at or before a step (null: of all). */
  newestStep(module: string, part: SpectrumPart, step: number | null): number | null {
    const name = key(module, part)
    let newest: number | null = null
    const meet = (candidate: number | undefined) => {
      if (candidate !== undefined && (newest === null || candidate > newest)) newest = candidate
    }
    for (const { steps } of this.#history.get(name) ?? [])
      meet(steps[(step === null ? steps.length : lowerBound(steps, step + 1)) - 1])
    for (const entry of this.#live.get(name) ?? []) if (step === null || entry.step <= step) meet(entry.step)
    return newest
  }

  /** A measure at a step that has a spectrum; null where it has none, or it was not fetched. */
  valueAt(module: string, part: SpectrumPart, measure: string, step: number): number | null {
    const name = key(module, part)
    for (const final of [true, false]) {
      const live = (this.#live.get(name) ?? []).find((one) => one.step === step && one.final === final)
      const found = live?.measures[measure] ?? this.#inColumn(`${name} ${final} ${measure}`, measure, step)
      if (found !== null) return found
    }
    return null
  }

  #inColumn(name: string, measure: string, step: number): number | null {
    const column = this.#columns.get(name)
    if (!column) return null
    const index = lowerBound(column.steps, step)
    const value = column.values[index]!
    return column.steps[index] === step && !isAbsent(measure, value) ? value : null
  }

  /** A measure of one module over its steps, of what is here; of a live and a final spectrum of one step the final one. */
  column(module: string, part: SpectrumPart, measure: string): ReadonlyMap<number, number> {
    const name = key(module, part)
    const values = new Map<number, number>()
    for (const final of [false, true]) {
      const column = this.#columns.get(`${name} ${final} ${measure}`)
      if (column)
        for (let index = 0; index < column.steps.length; index++)
          if (!isAbsent(measure, column.values[index]!))
            values.set(column.steps[index]!, column.values[index]!)
      for (const entry of this.#live.get(name) ?? [])
        if (entry.final === final && entry.measures[measure] !== undefined)
          values.set(entry.step, entry.measures[measure])
    }
    return values
  }

  /** Whether the column of a measure is here, for what the server told of. */
  hasColumn(module: string, part: SpectrumPart, final: boolean, measure: string): boolean {
    const name = key(module, part)
    const told = (this.#history.get(name) ?? []).some((history) => history.final === final)
    return !told || this.#columns.has(`${name} ${final} ${measure}`)
  }

  /** What the server tells: modules measured at the same steps share a group. */
  load({ groups, shapes }: Pick<SpectraModulesAnswer, 'groups' | 'shapes'>): void {
    this.version++
    for (const { part, final, modules, steps } of groups)
      for (const module of modules) {
        const name = key(module, part)
        const shape = shapes[module] ?? [0, 0]
        this.#history.set(name, [...(this.#history.get(name) ?? []), { steps, final, shape }])
        this.#places.set(name, { module, part })
        this.#lists.delete(name)
      }
  }

  addColumn(
    module: string,
    part: SpectrumPart,
    final: boolean,
    measure: string,
    column: MeasureColumn,
  ): void {
    this.version++
    this.#columns.set(`${key(module, part)} ${final} ${measure}`, column)
  }

  addValues(module: string, part: SpectrumPart, step: number, final: boolean, values: Float64Array): void {
    const name = key(module, part)
    const known = this.#values.get(name) ?? new Map<string, Float64Array>()
    this.#values.set(name, known)
    known.set(place(step, final), values)
    const entry = this.#lists.get(name)?.find((one) => one.step === step && one.final === final)
    if (entry) entry.singularValues ??= values
    this.#forgetOthers(name)
  }

  /** A spectrum that came live; told again it takes the place of the old one. */
  add(entry: SpectrumEntry): void {
    this.version++
    const name = key(entry.module, entry.part)
    const list = this.#live.get(name) ?? []
    const same = list.findIndex((one) => order(one, entry) === 0)
    if (same >= 0) list[same] = entry
    else list.push(entry)
    this.#live.set(name, list)
    this.#places.set(name, { module: entry.module, part: entry.part })
    this.#lists.delete(name)
  }

  /** A run that went back to a checkpoint: what came after its step did not happen. */
  truncateAfter(step: number): void {
    this.version++
    for (const name of this.#places.keys()) {
      const history = (this.#history.get(name) ?? [])
        .map((one) => ({ ...one, steps: one.steps.filter((candidate) => candidate <= step) }))
        .filter((one) => one.steps.length > 0)
      const live = (this.#live.get(name) ?? []).filter((entry) => entry.step <= step)
      this.#history.set(name, history)
      this.#live.set(name, live)
      if (history.length + live.length === 0) this.#places.delete(name)
    }
    for (const [name, { steps, values }] of this.#columns) {
      const kept = lowerBound(steps, step + 1)
      this.#columns.set(name, {
        steps: Array.from({ length: kept }, (_, index) => steps[index]!),
        values: Array.from({ length: kept }, (_, index) => values[index]!),
      })
    }
    this.#lists.clear()
  }

  #forgetOthers(kept: string): void {
    let total = 0
    for (const values of this.#values.values()) for (const one of values.values()) total += one.length
    if (total <= mostValues) return
    for (const name of [...this.#values.keys()].filter((other) => other !== kept)) {
      this.#values.delete(name)
      this.#lists.delete(name)
    }
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

export function entryFromRecord(body: RecordBodyOf<'spectrum'>): SpectrumEntry {
  return {
    step: body.step,
    module: body.module,
    part: body.part,
    final: body.final,
    rows: body.rows,
    columns: body.columns,
    measures: { ...body.measures, frobenius: body.frobenius },
    singularValues: fromFloat64Bytes(new Uint8Array(body.singularValues)),
  }
}

/** The model’s order: layer 2 before layer 10, q, k, v, o, gate, up, down within a layer; others by name. */
export function compareModules(a: string, b: string): number {
  const [layerA, layerB] = [withoutProjection(a), withoutProjection(b)]
  return collator.compare(layerA, layerB) || projectionOrder(a) - projectionOrder(b) || collator.compare(a, b)
}

/** One for all comparisons: making one takes longer than comparing. */
const collator = new Intl.Collator('en', { numeric: true })

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

function place(step: number, final: boolean): string {
  return `${step} ${final}`
}

/** How many of the entries are at or before the step. */
function upTo(list: readonly SpectrumEntry[], step: number): number {
  let low = 0
  let high = list.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (list[middle]!.step <= step) low = middle + 1
    else high = middle
  }
  return low
}

function lowerBound(steps: ArrayLike<number>, step: number): number {
  let low = 0
  let high = steps.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (steps[middle]! < step) low = middle + 1
    else high = middle
  }
  return low
}

/** Measures that not every spectrum has: for those NaN in a column means that it has none, for others that it is NaN. */
const optional = new Set(
  Object.entries(rankMeasures)
    .filter(([, { always }]) => !always)
    .map(([name]) => name),
)

function isAbsent(measure: string, value: number): boolean {
  return Number.isNaN(value) && optional.has(measure)
}
