/** Figure of a rank measure of ΔW over the steps: of one module, or the mean over the watched ones. Pure. */
import type { SpectrumPart } from '@rankscope/protocol'
import type { Data } from 'plotly.js'
import type { SpectrumEntry, SpectrumIndex } from '../live/spectra.ts'
import { axis, baseLayout, type ChartTheme, curveTable, type Figure } from './figure.ts'
import { type MeasureName, measures } from './measures.ts'
import type { Curve } from './scalar-figure.ts'

export type MeasureCurve = Pick<Curve, 'runId' | 'label' | 'colour' | 'dash' | 'emphasis'> & {
  spectra: SpectrumIndex
}

export type MeasureOptions = {
  measure: MeasureName
  /** null: the mean over the modules that are watched live. */
  module: string | null
  part: SpectrumPart
  logY: boolean
  /** Step of the spectrum chart, shown as a line; null while it follows. */
  step: number | null
  theme: ChartTheme
  empty: string
}

export function measureFigure(curves: readonly MeasureCurve[], options: MeasureOptions): Figure {
  const lines = curves
    .map((curve) => ({ curve, label: curve.label, ...measureOverSteps(curve.spectra, options) }))
    .filter((line) => line.x.length > 0)
  const points = lines.reduce((sum, line) => sum + line.x.length, 0)
  return {
    traces: lines.map(
      ({ curve, x, y }): Data => ({
        type: 'scatter',
        mode: x.length <= 60 ? 'lines+markers' : 'lines',
        name: curve.label,
        x,
        y,
        opacity: curve.emphasis === 'faint' ? 0.18 : 1,
        line: { color: curve.colour, width: curve.emphasis === 'strong' ? 3 : 1.8, dash: curve.dash },
        marker: { size: 5, color: curve.colour },
        legendgroup: curve.runId,
      }),
    ),
    layout: {
      ...baseLayout(options.theme),
      uirevision: `${options.measure} ${options.logY}`,
      xaxis: axis(options.theme, 'step'),
      yaxis: {
        ...axis(options.theme, measures[options.measure].title),
        type: options.logY ? 'log' : 'linear',
        ...(options.logY ? {} : { rangemode: 'tozero' }),
      },
      shapes:
        options.step === null
          ? []
          : [
              {
                type: 'line',
                x0: options.step,
                x1: options.step,
                y0: 0,
                y1: 1,
                yref: 'paper',
                line: { color: options.theme.dimmed, width: 1, dash: 'dot' },
              },
            ],
    },
    drawnPoints: points,
    totalPoints: points,
    empty: lines.length > 0 ? null : someSpectrum(curves, options) ? notMeasured : options.empty,
    table: () => curveTable(['run', 'step', options.measure], lines),
  }
}

const notMeasured = 'None of the shown runs has this measure for this part and module.'

function someSpectrum(curves: readonly MeasureCurve[], { module, part }: MeasureOptions): boolean {
  return curves.some(({ spectra }) =>
    (module === null ? watched(spectra) : [module]).some((name) => spectra.list(name, part).length > 0),
  )
}

/**
 * The measure at each step that has it. For the mean over the watched modules, at every step that one of them
 * has, with the newest value of each: under load a spectrum may be left out. Begins when all have one.
 */
export function measureOverSteps(
  spectra: SpectrumIndex,
  options: Pick<MeasureOptions, 'measure' | 'module' | 'part'>,
): { x: number[]; y: number[] } {
  const modules = options.module === null ? watched(spectra) : [options.module]
  const lists = modules.map((module) => spectra.list(module, options.part))
  const steps = [...new Set(lists.flatMap((list) => list.map((entry) => entry.step)))].sort((a, b) => a - b)
  const line: { x: number[]; y: number[] } = { x: [], y: [] }
  const next = lists.map(() => 0)
  for (const step of steps) {
    lists.forEach((list, index) => {
      while ((list[next[index]!]?.step ?? Number.POSITIVE_INFINITY) <= step) next[index]!++
    })
    if (next.includes(0)) continue
    const values = lists.flatMap((list, index) => measureOf(list[next[index]! - 1]!, options.measure) ?? [])
    if (values.length === 0) continue
    line.x.push(step)
    line.y.push(values.reduce((sum, value) => sum + value, 0) / values.length)
  }
  return line
}

/** Null where the spectrum does not have it: a tail ratio at a rank that is no mark of the method. */
export function measureOf(entry: SpectrumEntry, measure: MeasureName): number | null {
  return measure === 'frobenius' ? entry.frobenius : (entry.measures[measure] ?? null)
}

function watched(spectra: SpectrumIndex): string[] {
  const live = spectra.liveModules()
  return live.length > 0 ? live : spectra.modules()
}
