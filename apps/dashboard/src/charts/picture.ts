/** A line figure as plotly draws it, for pictures to save: the same curves, bands, marks and misfits, with a legend. Pure. */
import type { Data, Layout } from 'plotly.js'
import {
  axis,
  baseLayout,
  type ChartTheme,
  type LineAxis,
  type LineCurve,
  type LineFigure,
  type Misfit,
  type PlotlyFigure,
} from './figure.ts'

export function asPicture(figure: LineFigure, theme: ChartTheme): PlotlyFigure {
  const top = figure.yAxis.range[1]
  const bottom = figure.yAxis.range[0]
  const edge = (kind: Misfit['kind']) => (kind === '+∞' ? top : bottom)
  return {
    ...figure,
    kind: 'plotly',
    traces: [
      ...figure.bands.flatMap(({ x, mean, low, high, label, colour, dash, called }): Data[] => [
        { type: 'scatter', mode: 'lines', x, y: low, line: { width: 0, color: colour }, showlegend: false },
        {
          type: 'scatter',
          mode: 'lines',
          x,
          y: high,
          fill: 'tonexty',
          fillcolor: `${colour}33`,
          line: { width: 0, color: colour },
          name: `${label}, ${called}`,
        },
        { type: 'scatter', mode: 'lines', x, y: mean, name: label, line: { color: colour, width: 2, dash } },
      ]),
      ...figure.curves.flatMap((curve) => [...rawTrace(curve), mainTrace(curve)]),
      ...figure.curves.flatMap(({ misfits, label, colour }): Data[] =>
        misfits.length === 0
          ? []
          : [
              {
                type: 'scatter',
                mode: 'markers',
                name: `${label}: ${[...new Set(misfits.map(({ kind }) => kind))].join(', ')}`,
                x: misfits.map(({ x }) => x),
                y: misfits.map(({ kind }) => edge(kind)),
                marker: { color: colour, size: 8, symbol: misfits.map(({ kind }) => symbols[kind]) },
                cliponaxis: false,
              },
            ],
      ),
    ],
    layout: {
      ...baseLayout(theme),
      xaxis: plotlyAxis(figure.xAxis, theme),
      yaxis: plotlyAxis(figure.yAxis, theme),
      shapes: [
        ...figure.marks.map(({ x, strong }) => ({
          type: 'line' as const,
          x0: x,
          x1: x,
          y0: 0,
          y1: 1,
          yref: 'paper' as const,
          layer: 'below' as const,
          line: { color: theme.dimmed, width: strong ? 1.6 : 1, dash: strong ? 'solid' : 'dot' } as const,
        })),
        ...figure.levels.map(({ y, colour }) => ({
          type: 'line' as const,
          x0: 0,
          x1: 1,
          xref: 'paper' as const,
          y0: y,
          y1: y,
          layer: 'below' as const,
          line: { color: colour ?? theme.dimmed, width: 1, dash: 'dot' } as const,
        })),
      ],
      annotations: figure.marks.map(({ x, label, strong }, index) => ({
        x: figure.xAxis.log ? Math.log10(x) : x,
        y: 1,
        yref: 'paper' as const,
        yanchor: 'bottom' as const,
        yshift: 2 + 15 * (index % 2),
        text: strong ? `<b>${label}</b>` : label,
        showarrow: false,
        font: { size: 11, color: theme.text },
      })),
    } satisfies Partial<Layout>,
  }
}

const symbols: Record<Misfit['kind'], string> = {
  NaN: 'x',
  '+∞': 'triangle-up',
  '−∞': 'triangle-down',
  '≤ 0': 'line-ns-open',
}

function mainTrace({ x, y, label, colour, dash, markers, called }: LineCurve): Data {
  return {
    type: 'scatter',
    mode: markers ? 'lines+markers' : 'lines',
    name: called === null ? label : `${label} (${called})`,
    x,
    y,
    line: { color: colour, width: 1.8, dash },
    marker: { size: 5, color: colour },
  }
}

/** From the low to the high of each point, so that a spike is in the picture too. */
function rawTrace({ x, raw, colour }: LineCurve): Data[] {
  if (!raw) return []
  const twice = <T>(pick: (index: number) => [T, T]) => Array.from(x, (_, index) => pick(index)).flat()
  return [
    {
      type: 'scatter',
      mode: 'lines',
      x: twice((index) => [x[index]!, x[index]!]),
      y: twice((index) => [raw.low[index]!, raw.high[index]!]),
      opacity: 0.28,
      line: { color: colour, width: 1 },
      showlegend: false,
    },
  ]
}

function plotlyAxis({ title, log, range, ticks }: LineAxis, theme: ChartTheme): Partial<Layout['xaxis']> {
  return {
    ...axis(theme, title),
    type: log ? 'log' : 'linear',
    range: range.map((value) => (log ? Math.log10(value) : value)),
    tickformat: { percent: '~%', count: '~s', number: '' }[ticks],
  }
}
