/** What a sweep’s charts show: a measure over an axis, one line per method and variant, and one measure against another. Pure. */

import { estimate, lineOf, linesIn, type RunResult, type Setting, settingsOf } from '@rankscope/experiments'
import type { SettingValue } from '@rankscope/protocol'
import type { Data } from 'plotly.js'
import { axis, baseLayout, type ChartTheme, type PlotlyFigure } from '../charts/figure.ts'
import { palette } from '../runs/run-colours.ts'

export type Measured = {
  title: string
  value: (result: RunResult) => number | null
  /** Accuracies are drawn in percent. */
  percent?: boolean
}

/** The same colour for a line on every chart of a sweep. */
function lineColour(lines: readonly string[], line: string, theme: ChartTheme): string {
  return palette[lines.indexOf(line) % palette.length]![theme.scheme]
}

type OverAxis = {
  path: string
  measured: Measured
  logX: boolean
  logY: boolean
  /** Settings to mark: each line’s best. */
  best: readonly Pick<Setting, 'line' | 'point'>[]
  theme: ChartTheme
}

/**
 * Every run as a dot; the mean over seeds, and over what else varies, as a line, with a band of one standard deviation
 * (n − 1); the best setting as a star; a method without the setting as a dashed line. A diverged or failed run is a cross at the foot of the chart.
 */
export function overAxisFigure(results: readonly RunResult[], options: OverAxis): PlotlyFigure {
  const { path, measured, logX, logY, best, theme } = options
  const scale = measured.percent ? 100 : 1
  const lines = linesIn(results)
  const traces: Data[] = []
  const seenValues = results.flatMap((result) => measured.value(result) ?? []).map((value) => scale * value)
  const rows: (string | number)[][] = [['line', path, 'seed', measured.title, 'outcome', 'run']]
  for (const label of lines) {
    const colour = lineColour(lines, label, theme)
    const own = results.filter((result) => lineOf(result) === label && typeof result.point[path] === 'number')
    if (own.length === 0) {
      traces.push(...levelOf(label))
      continue
    }
    const x = (result: RunResult) => result.point[path] as number
    const seen = own.filter((result) => measured.value(result) !== null)
    for (const result of own)
      rows.push([label, x(result), result.seed, measured.value(result) ?? '', result.outcome, result.runId])
    const positions = [...new Set(seen.map(x))].sort((one, other) => one - other)
    const means = positions.map(
      (position) =>
        estimate(
          seen.filter((result) => x(result) === position).map((result) => scale * measured.value(result)!),
        )!,
    )
    const line = { color: colour, width: 2 }
    const spread = means.map(({ deviation }) => deviation ?? 0)
    if (spread.some((deviation) => deviation > 0)) {
      const hidden = {
        type: 'scatter' as const,
        mode: 'lines' as const,
        x: positions,
        line: { width: 0, color: colour },
        hoverinfo: 'skip' as const,
        showlegend: false,
        legendgroup: label,
      }
      traces.push(
        { ...hidden, y: means.map(({ mean }, index) => mean - spread[index]!) },
        {
          ...hidden,
          y: means.map(({ mean }, index) => mean + spread[index]!),
          fill: 'tonexty',
          fillcolor: `${colour}2b`,
        },
      )
    }
    traces.push(
      {
        type: 'scatter',
        mode: 'lines',
        name: label,
        x: positions,
        y: means.map(({ mean }) => mean),
        line,
        legendgroup: label,
        hovertemplate: '%{y:.4~g}',
      },
      {
        type: 'scatter',
        mode: 'markers',
        name: label,
        x: seen.map(x),
        y: seen.map((result) => scale * measured.value(result)!),
        marker: { color: colour, size: 6, opacity: 0.75 },
        hoverinfo: 'skip',
        showlegend: false,
        legendgroup: label,
      },
    )
    const stars = best.filter(({ line }) => line === label)
    const starred = seen.filter((result) => stars.some(({ point }) => isAt(result, point)))
    if (starred.length > 0) {
      const mean = estimate(starred.map((result) => scale * measured.value(result)!))!.mean
      traces.push({
        type: 'scatter',
        mode: 'markers',
        name: `${label}, best`,
        x: [x(starred[0]!)],
        y: [mean],
        marker: { color: colour, size: 15, symbol: 'star', line: { color: theme.background, width: 1.5 } },
        hoverinfo: 'skip',
        showlegend: false,
        legendgroup: label,
      })
    }
    const lost = own.filter(({ outcome }) => outcome === 'diverged' || outcome === 'failed')
    if (lost.length > 0)
      traces.push({
        type: 'scatter',
        mode: 'markers',
        name: `${label}, lost`,
        x: lost.map(x),
        y: lost.map(() => 0.02),
        yaxis: 'y2',
        marker: { color: colour, size: 9, symbol: 'x' },
        text: lost.map(({ outcome }) => outcome),
        hovertemplate: '%{text}<extra></extra>',
        showlegend: false,
        legendgroup: label,
      })
  }
  const drawn = rows.length - 1

  /** A method that has no such setting, as full fine-tuning has no rank: its mean as a dashed line across. */
  function levelOf(label: string): Data[] {
    const places = results.map(({ point }) => point[path]).filter((value) => typeof value === 'number')
    const own = results.filter((result) => lineOf(result) === label)
    const level = estimate(own.flatMap((result) => measured.value(result) ?? []))
    if (level === null || places.length === 0) return []
    for (const result of own)
      rows.push([label, '', result.seed, measured.value(result) ?? '', result.outcome, result.runId])
    const y = scale * level.mean
    return [
      {
        type: 'scatter',
        mode: 'lines',
        name: label,
        x: [Math.min(...places), Math.max(...places)],
        y: [y, y],
        line: { color: lineColour(lines, label, theme), width: 2, dash: 'dash' },
        legendgroup: label,
        hovertemplate: '%{y:.4~g}',
      },
    ]
  }
  return {
    kind: 'plotly',
    traces,
    layout: {
      ...baseLayout(theme),
      showlegend: true,
      legend: { orientation: 'h', y: 1.02, yanchor: 'bottom', x: 0 },
      margin: { l: 58, r: 14, t: 34, b: 44 },
      hovermode: 'x unified',
      xaxis: { ...axis(theme, path), type: logX ? 'log' : 'linear' },
      yaxis: {
        ...axis(theme, measured.percent ? `${measured.title} (%)` : measured.title),
        type: logY ? 'log' : 'linear',
        ...(logY ? {} : rangeOf(seenValues, measured.percent ?? false)),
      },
      yaxis2: { overlaying: 'y', range: [0, 1], visible: false, fixedrange: true },
    },
    drawnPoints: drawn,
    totalPoints: drawn,
    empty: traces.length === 0 ? 'No run has a result yet.' : null,
    table: () => rows,
  }
}

/** Shares begin at nothing; values that are all the same stand in the middle of a range of their own size. */
function rangeOf(values: readonly number[], isShare: boolean): { range?: [number, number] } {
  const [low, high] = [Math.min(...values), Math.max(...values)]
  if (values.length === 0) return {}
  if (isShare) return { range: [-2, Math.max(10, high * 1.08)] }
  if (low !== high) return {}
  const around = low === 0 ? 1 : Math.abs(low) / 10
  return { range: [low - around, high + around] }
}

function isAt(result: RunResult, point: Setting['point']): boolean {
  return Object.entries(point).every(
    ([path, value]) => JSON.stringify(result.point[path]) === JSON.stringify(value),
  )
}

/** One dot per run. */
export function againstFigure(
  results: readonly RunResult[],
  x: Measured,
  y: Measured,
  log: { x: boolean; y: boolean },
  theme: ChartTheme,
): PlotlyFigure {
  const lines = linesIn(results)
  const scale = (measured: Measured) => (measured.percent ? 100 : 1)
  const rows: (string | number)[][] = [['line', 'seed', x.title, y.title, 'run']]
  const traces: Data[] = lines.flatMap((line): Data[] => {
    const own = results.filter(
      (result) => lineOf(result) === line && x.value(result) !== null && y.value(result) !== null,
    )
    for (const result of own) rows.push([line, result.seed, x.value(result)!, y.value(result)!, result.runId])
    if (own.length === 0) return []
    return [
      {
        type: 'scatter',
        mode: 'markers',
        name: line,
        x: own.map((result) => scale(x) * x.value(result)!),
        y: own.map((result) => scale(y) * y.value(result)!),
        text: own.map(({ point }) =>
          Object.entries(point)
            .map(([path, value]) => `${path.slice(path.lastIndexOf('.') + 1)} ${value}`)
            .join('<br>'),
        ),
        hovertemplate: '%{text}<br>%{x:.4~g}, %{y:.4~g}',
        marker: { color: lineColour(lines, line, theme), size: 8, opacity: 0.85 },
      },
    ]
  })
  const title = (measured: Measured) => (measured.percent ? `${measured.title} (%)` : measured.title)
  return {
    kind: 'plotly',
    traces,
    layout: {
      ...baseLayout(theme),
      hovermode: 'closest',
      showlegend: true,
      legend: { orientation: 'h', y: 1.02, yanchor: 'bottom', x: 0 },
      margin: { l: 58, r: 14, t: 34, b: 44 },
      xaxis: { ...axis(theme, title(x)), type: log.x ? 'log' : 'linear' },
      yaxis: { ...axis(theme, title(y)), type: log.y ? 'log' : 'linear' },
    },
    drawnPoints: rows.length - 1,
    totalPoints: rows.length - 1,
    empty: traces.length === 0 ? 'No run has both measures yet.' : null,
    table: () => rows,
  }
}

export type HeatCell = { settings: readonly Setting[]; mean: number | null; n: number; lost: number }

/** Stands for an axis: method and variant together. */
export const lineAxis = 'line'

/** Means over all other axes and the seeds, for two axes. */
export function heatCells(
  results: readonly RunResult[],
  measured: Measured,
  paths: readonly [string, string],
) {
  const values = (path: string) => {
    const all = results.flatMap((result) => valueAt(result, path) ?? [])
    const distinct = [...new Map(all.map((value) => [JSON.stringify(value), value])).values()]
    return distinct.every((value) => typeof value === 'number')
      ? distinct.sort((one, other) => Number(one) - Number(other))
      : distinct
  }
  const [rows, columns] = [values(paths[0]), values(paths[1])]
  const cells = rows.map((row) =>
    columns.map((column): HeatCell => {
      const own = results.filter(
        (result) =>
          JSON.stringify(valueAt(result, paths[0])) === JSON.stringify(row) &&
          JSON.stringify(valueAt(result, paths[1])) === JSON.stringify(column),
      )
      const found = estimate(own.flatMap((result) => measured.value(result) ?? []))
      const lost = own.filter(({ outcome }) => outcome === 'diverged' || outcome === 'failed').length
      return { settings: settingsOf(own), mean: found?.mean ?? null, n: found?.n ?? 0, lost }
    }),
  )
  return { rows, columns, cells }
}

function valueAt(result: RunResult, path: string): SettingValue | undefined {
  return path === lineAxis ? lineOf(result) : result.point[path]
}
