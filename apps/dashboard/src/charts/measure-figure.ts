/** Figure of a measure of ΔW over the steps: of one module, or the mean over the watched ones. Pure. */
import type { SpectrumPart } from '@rankscope/protocol'
import { formatExact, formatNumber } from '../common/format.ts'
import { type SpectrumEntry, type SpectrumIndex, skippedSteps } from '../live/spectra.ts'
import { extentOf, rangeAround } from './axis-range.ts'
import { envelope } from './decimate.ts'
import { curveTable, type LineCurve, type LineFigure } from './figure.ts'
import { type MeasureName, measures } from './measures.ts'
import { misfitNote, misfitsOf } from './misfits.ts'
import type { Curve } from './scalar-figure.ts'

export type MeasureCurve = Pick<Curve, 'runId' | 'label' | 'colour' | 'dash'> & {
  spectra: SpectrumIndex
  /** How often the run was to record spectra. */
  everySteps: number | null
}

export type MeasureOptions = {
  measure: MeasureName
  /** null: the mean over the modules that are watched live. */
  module: string | null
  part: SpectrumPart
  logY: boolean
  /** Step of the spectrum chart, shown as a line; null while it follows. */
  step: number | null
  empty: string
}

export function measureFigure(curves: readonly MeasureCurve[], options: MeasureOptions): LineFigure {
  const lines = curves
    .map((curve) => ({ curve, label: curve.label, ...measureOverSteps(curve.spectra, options) }))
    .filter((line) => line.x.length > 0)
  const drawn = lines.map(({ curve, x, y }) => lineOf(curve, x, y, options))
  const points = lines.reduce((sum, line) => sum + line.x.length, 0)
  const left = curves.map((curve) => incompleteSteps(curve.spectra, options))
  const incomplete = left.reduce((sum, count) => sum + count, 0)
  const { module } = options
  const skipped =
    module === null
      ? 0
      : curves.reduce(
          (sum, { spectra, everySteps }) =>
            sum + skippedSteps(spectra.list(module, options.part), everySteps).length,
          0,
        )
  const steps = extentOf(
    drawn.map((line) => line.x),
    false,
  )
  return {
    kind: 'lines',
    curves: drawn,
    bands: [],
    levels: [],
    marks: options.step === null ? [] : [{ x: options.step, label: '', strong: false }],
    xAxis: {
      title: 'step',
      log: false,
      range: steps && steps[1] > steps[0] ? steps : rangeAround(steps, { log: false }),
      ticks: 'count',
      format: (value) => formatExact(value),
    },
    yAxis: {
      title: measures[options.measure].title,
      log: options.logY,
      range: rangeAround(
        extentOf(
          drawn.map((line) => line.y),
          options.logY,
        ),
        { log: options.logY, fromZero: true },
      ),
      ticks: 'number',
      format: (value) => formatNumber(value, 5),
    },
    drawnPoints: points,
    totalPoints: points,
    notes: [
      misfitNote(drawn) ?? [],
      incomplete === 0
        ? []
        : `no mean at ${incomplete.toLocaleString('en-US')} ${incomplete === 1 ? 'step' : 'steps'}, where a watched module has no spectrum`,
      skipped === 0 ? [] : skippedNote(skipped),
    ].flat(),
    empty: lines.length > 0 ? null : someSpectrum(curves, options) ? notMeasured : options.empty,
    table: () => curveTable(['run', 'step', options.measure], lines),
  }
}

/** What is said of snapshots that were due and are not there. */
export function skippedNote(skipped: number): string {
  return `${skipped.toLocaleString('en-US')} ${skipped === 1 ? 'snapshot was' : 'snapshots were'} left out: decomposing took longer than training`
}

const notMeasured = 'None of the shown runs has this measure for this part and module.'

function lineOf(
  curve: MeasureCurve,
  x: readonly number[],
  y: readonly number[],
  { logY }: MeasureOptions,
): LineCurve {
  const { runId, label, colour, dash } = curve
  const at = Float64Array.from(x)
  const nans = y.map((value) => Number(Number.isNaN(value)))
  return {
    runId,
    label,
    colour,
    dash,
    markers: x.length <= 60,
    x: at,
    y: Float64Array.from(y, (value) => (logY && value <= 0 ? Number.NaN : value)),
    called: null,
    raw: null,
    misfits: misfitsOf(at, envelope(y, y, y.length), nans, logY),
  }
}

function someSpectrum(curves: readonly MeasureCurve[], { module, part }: MeasureOptions): boolean {
  return curves.some(({ spectra }) =>
    (module === null ? watched(spectra) : [module]).some((name) => spectra.list(name, part).length > 0),
  )
}

/**
 * The measure at each step that has it. The mean over the watched modules is of one step alone: steps at which one of
 * them has no spectrum (under load a snapshot may be left out) are left out, and counted by `incompleteSteps`.
 */
export function measureOverSteps(
  spectra: SpectrumIndex,
  options: Pick<MeasureOptions, 'measure' | 'module' | 'part'>,
): { x: number[]; y: number[] } {
  const line: { x: number[]; y: number[] } = { x: [], y: [] }
  const { modules, bySteps } = entriesBySteps(spectra, options)
  for (const [step, entries] of bySteps) {
    if (entries.length < modules) continue
    const values = entries.flatMap((entry) => measureOf(entry, options.measure) ?? [])
    if (values.length === 0) continue
    line.x.push(step)
    line.y.push(values.reduce((sum, value) => sum + value, 0) / values.length)
  }
  return line
}

/** Steps at which some of the watched modules have a spectrum and others do not. */
function incompleteSteps(spectra: SpectrumIndex, options: Pick<MeasureOptions, 'module' | 'part'>): number {
  const { modules, bySteps } = entriesBySteps(spectra, options)
  return bySteps.filter(([, entries]) => entries.length < modules).length
}

/** The spectra of each step, ascending; of two of one module and step the final one. */
function entriesBySteps(
  spectra: SpectrumIndex,
  { module, part }: Pick<MeasureOptions, 'module' | 'part'>,
): { modules: number; bySteps: [step: number, entries: SpectrumEntry[]][] } {
  const names = module === null ? watched(spectra) : [module]
  const lists = names.map((name) => spectra.list(name, part)).filter((list) => list.length > 0)
  const bySteps = new Map<number, Map<string, SpectrumEntry>>()
  for (const list of lists) {
    for (const entry of list) {
      const entries = bySteps.get(entry.step) ?? new Map<string, SpectrumEntry>()
      entries.set(entry.module, entry)
      bySteps.set(entry.step, entries)
    }
  }
  const sorted = [...bySteps].sort(([a], [b]) => a - b)
  return {
    modules: names.length,
    bySteps: sorted.map(([step, entries]) => [step, [...entries.values()]]),
  }
}

/** Null where the spectrum does not have it: a tail ratio at a rank that is no mark of the method. */
export function measureOf(entry: SpectrumEntry, measure: MeasureName): number | null {
  return measure === 'frobenius' ? entry.frobenius : (entry.measures[measure] ?? null)
}

function watched(spectra: SpectrumIndex): string[] {
  const live = spectra.liveModules()
  return live.length > 0 ? live : spectra.modules()
}
