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
    empty: lines.length === 0 ? options.empty : null,
    table: () => curveTable(['run', 'step', options.measure], lines),
  }
}

/** The measure at each step that has it; for the mean, steps at which every watched module has a spectrum. */
export function measureOverSteps(
  spectra: SpectrumIndex,
  options: Pick<MeasureOptions, 'measure' | 'module' | 'part'>,
): { x: number[]; y: number[] } {
  const modules = options.module === null ? watched(spectra) : [options.module]
  const sums = new Map<number, { sum: number; count: number }>()
  for (const module of modules) {
    const seen = new Set<number>()
    for (const entry of spectra.list(module, options.part)) {
      if (seen.has(entry.step)) continue
      seen.add(entry.step)
      const sum = sums.get(entry.step) ?? { sum: 0, count: 0 }
      sum.sum += measureOf(entry, options.measure)
      sum.count++
      sums.set(entry.step, sum)
    }
  }
  const steps = [...sums].filter(([, { count }]) => count === modules.length).sort(([a], [b]) => a - b)
  return { x: steps.map(([step]) => step), y: steps.map(([, { sum, count }]) => sum / count) }
}

export function measureOf(entry: SpectrumEntry, measure: MeasureName): number {
  return measure === 'frobenius' ? entry.frobenius : (entry.measures[measure] ?? Number.NaN)
}

function watched(spectra: SpectrumIndex): string[] {
  const live = spectra.liveModules()
  return live.length > 0 ? live : spectra.modules()
}
