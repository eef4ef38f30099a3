/** Figure of a measure of ΔW over the steps: of one module, or the mean over the watched ones. Pure. */
import type { SpectrumPart } from '@rankscope/protocol'
import { formatExact, formatNumber } from '../common/format.ts'
import { type SpectrumIndex, skippedSteps } from '../live/spectra.ts'
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
  const incomplete = curves.reduce(
    (sum, curve) => sum + measureOverSteps(curve.spectra, options).incomplete,
    0,
  )
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
    (module === null ? watched(spectra) : [module]).some((name) => spectra.steps(name, part).length > 0),
  )
}

type OverSteps = { x: number[]; y: number[]; incomplete: number }
type Wanted = Pick<MeasureOptions, 'measure' | 'module' | 'part'>

/** Of each index its last answers: the chart is drawn anew with every singular value that comes. */
const answers = new WeakMap<SpectrumIndex, { version: number; byWanted: Map<string, OverSteps> }>()

/**
 * The measure at each step that has it. The mean over the watched modules is of one step alone: steps at which one of
 * them has no spectrum (under load a snapshot may be left out) are left out, and counted as `incomplete`.
 */
export function measureOverSteps(spectra: SpectrumIndex, wanted: Wanted): OverSteps {
  let known = answers.get(spectra)
  if (known?.version !== spectra.version) {
    known = { version: spectra.version, byWanted: new Map() }
    answers.set(spectra, known)
  }
  const name = `${wanted.measure} ${wanted.module} ${wanted.part}`
  const answer = known.byWanted.get(name) ?? overSteps(spectra, wanted)
  known.byWanted.set(name, answer)
  return answer
}

function overSteps(spectra: SpectrumIndex, { measure, module, part }: Wanted): OverSteps {
  const modules = module === null ? watched(spectra) : [module]
  const bySteps = new Map<number, { count: number; sum: number }>()
  let withMeasure = 0
  for (const one of modules) {
    const column = spectra.column(one, part, measure)
    if (column.size > 0) withMeasure++
    for (const [step, value] of column) {
      const entry = bySteps.get(step)
      if (entry) {
        entry.count++
        entry.sum += value
      } else bySteps.set(step, { count: 1, sum: value })
    }
  }
  const line: OverSteps = { x: [], y: [], incomplete: 0 }
  for (const [step, { count, sum }] of [...bySteps].sort(([a], [b]) => a - b)) {
    if (count < withMeasure) line.incomplete++
    else {
      line.x.push(step)
      line.y.push(sum / count)
    }
  }
  return line
}

function watched(spectra: SpectrumIndex): string[] {
  const live = spectra.liveModules()
  return live.length > 0 ? live : spectra.modules()
}
