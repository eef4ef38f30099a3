/** What a chart shows at one moment, made from the stores by a pure builder: lines on axes, or whatever plotly draws. */
import type { Data, Layout } from 'plotly.js'
import type { Dash } from '../runs/run-colours.ts'
import type { Range } from './axis-range.ts'
import type { TickKind } from './ticks.ts'

/** What is said of a figure, whoever draws it. */
export type FigureFacts = {
  /** Points drawn and points there are, of what is in view; equal where everything is shown. */
  drawnPoints: number
  totalPoints: number
  /** A part of the x axis is shown. */
  zoomed?: boolean
  /** What one on the x axis stands for, e.g. 60 seconds where it shows minutes; 1 where left out. */
  xUnit?: number
  /** What the reader must know to take it right: what is left out, joined, or of another step. */
  notes?: string[]
  /** What to say instead of an empty frame; null when there is something to see. */
  empty: string | null
  /** The figure’s numbers for the CSV export: a header and rows. */
  table: () => (string | number)[][]
}

/** Heat maps, surfaces, and whatever a picture is exported from. */
export type PlotlyFigure = FigureFacts & {
  kind: 'plotly'
  traces: Data[]
  layout: Partial<Layout>
  /** A kind of trace beyond scatter, whose code is loaded with it. */
  needs?: PlotlyTrace
}
export type PlotlyTrace = 'heatmap' | 'surface'

/** Curves over one x axis. */
export type LineFigure = FigureFacts & {
  kind: 'lines'
  curves: LineCurve[]
  bands: LineBand[]
  xAxis: LineAxis
  yAxis: LineAxis
  /** Vertical lines, labelled above the plot. */
  marks: { x: number; label: string; strong: boolean }[]
  /** Horizontal dotted lines; null takes the colour of the axes. */
  levels: { y: number; colour: string | null }[]
}

export type Figure = PlotlyFigure | LineFigure

export type LineAxis = {
  title: string
  log: boolean
  range: Range
  ticks: TickKind
  /** How the hover box writes one value. */
  format: (value: number) => string
}

export type LineCurve = {
  runId: string
  label: string
  colour: string
  dash: Dash
  /** Draw each point. */
  markers: boolean
  /** Ascending. */
  x: Float64Array
  /** The line: raw values, or the smoothed ones. What is not finite is a gap. */
  y: Float64Array
  /** What the line is called in the hover box, e.g. “smoothed”; null where it shows the values themselves. */
  called: string | null
  /** The values behind a smoothed or joined line: drawn faint, told in the hover box. */
  raw: { low: Float64Array; high: Float64Array; last: Float64Array; counts: Float64Array } | null
  /** Points that have no place on the axes, by where they are. */
  misfits: Misfit[]
}

/** NaN, an infinity, or on a logarithmic axis zero and below; `count` of them at or up to this x. */
export type Misfit = { x: number; kind: 'NaN' | '+∞' | '−∞' | '≤ 0'; count: number }

/** A mean with its band, in the colour of the first member. */
export type LineBand = Pick<LineCurve, 'runId' | 'label' | 'colour' | 'dash' | 'x'> & {
  mean: Float64Array
  low: Float64Array
  high: Float64Array
  /** What the band is, e.g. “95 % of the mean of 3”. */
  called: string
}

export type ChartTheme = {
  scheme: 'light' | 'dark'
  text: string
  dimmed: string
  grid: string
  background: string
  font: string
}

export const chartThemes: Record<'light' | 'dark', ChartTheme> = {
  light: {
    scheme: 'light',
    text: '#343a40',
    dimmed: '#6b7280',
    grid: '#e9ecef',
    background: '#ffffff',
    font: 'system-ui, sans-serif',
  },
  dark: {
    scheme: 'dark',
    text: '#d5d8dc',
    dimmed: '#9aa1a9',
    grid: '#373a40',
    background: '#25262b',
    font: 'system-ui, sans-serif',
  },
}

/** Margins, fonts and grid lines that all charts share. */
export function baseLayout(theme: ChartTheme): Partial<Layout> {
  return {
    autosize: true,
    margin: { l: 58, r: 14, t: 8, b: 40 },
    paper_bgcolor: 'rgba(0,0,0,0)',
    plot_bgcolor: 'rgba(0,0,0,0)',
    font: { family: theme.font, size: 12, color: theme.text },
    showlegend: false,
    hovermode: 'x unified',
    hoverlabel: { bgcolor: theme.background, bordercolor: theme.grid, font: { size: 12, color: theme.text } },
    dragmode: 'zoom',
    // Keeps a zoom while live data is redrawn; changes when the axis means something else.
    uirevision: 'kept',
  }
}

export function axis(theme: ChartTheme, title: string): Partial<Layout['xaxis']> {
  return {
    title: { text: title, standoff: 6, font: { size: 12, color: theme.dimmed } },
    gridcolor: theme.grid,
    linecolor: theme.grid,
    zeroline: false,
    tickfont: { size: 11, color: theme.dimmed },
    exponentformat: 'e',
    hoverformat: '.4~g',
  }
}

/** Rows of a table of several curves: `run,x,y` triples. */
export function curveTable(
  header: string[],
  curves: readonly { label: string; x: ArrayLike<number>; y: ArrayLike<number> }[],
): (string | number)[][] {
  const rows: (string | number)[][] = [header]
  for (const curve of curves)
    for (let index = 0; index < curve.x.length; index++)
      rows.push([curve.label, curve.x[index]!, curve.y[index]!])
  return rows
}
