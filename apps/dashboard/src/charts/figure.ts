/** What a chart shows at one moment, made from the stores by a pure builder and drawn by `LiveChart`. */
import type { Data, Layout } from 'plotly.js'

export type Figure = {
  traces: Data[]
  layout: Partial<Layout>
  /** Points drawn and points there are, of what is in view; equal where everything is shown. */
  drawnPoints: number
  totalPoints: number
  /** A part of the x axis is shown. */
  zoomed?: boolean
  /** What one on the x axis stands for, e.g. 60 seconds where it shows minutes; 1 where left out. */
  xUnit?: number
  /** What to say instead of an empty frame; null when there is something to see. */
  empty: string | null
  /** The figure’s numbers for the CSV export: a header and rows. */
  table: () => (string | number)[][]
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
