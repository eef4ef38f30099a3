/**
 * Save a chart as PNG, SVG or CSV, with its title, a legend, a caption and a solid ground. A PNG looks as the screen does; an
 * SVG is for print: light, in a common font, vectors only.
 */
import { wrapText } from '@rankscope/experiments'
import type { Layout } from 'plotly.js'
import { toCsv } from './csv.ts'
import { type ChartTheme, chartThemes, type FigureFacts, type PlotlyFigure } from './figure.ts'
import { loadPlotly } from './plotly.ts'
import { forPrint } from './print.ts'

export type ImageFormat = 'png' | 'svg'

export async function downloadImage(
  shown: PlotlyFigure,
  {
    title,
    caption,
    format,
    theme: screen,
  }: { title: string; caption: string; format: ImageFormat; theme: ChartTheme },
): Promise<void> {
  const plotly = await loadPlotly(shown.needs)
  const figure = format === 'svg' ? forPrint(shown) : shown
  const theme = format === 'svg' ? chartThemes.light : screen
  const lines = wrapText(caption, 130)
  const below = 84 + 15 * lines.length
  const layout: Partial<Layout> = {
    ...figure.layout,
    title: { text: title, font: { size: 16 } },
    paper_bgcolor: theme.background,
    plot_bgcolor: theme.background,
    showlegend: true,
    legend: { orientation: 'h', y: 1, yanchor: 'bottom', x: 0 },
    margin: { l: 70, r: 24, t: 84 + (figure.layout.margin?.t ?? 0), b: below },
    annotations: [
      ...(figure.layout.annotations ?? []),
      {
        text: lines.map(escaped).join('<br>'),
        xref: 'paper',
        yref: 'paper',
        x: 0,
        y: 0,
        xanchor: 'left',
        yanchor: 'top',
        yshift: -52,
        align: 'left',
        showarrow: false,
        font: { size: 12, color: theme.dimmed },
      },
    ],
  }
  const address = await plotly.toImage(
    { data: figure.traces, layout },
    { format, width: 1000, height: 560 + below, scale: format === 'png' ? 2 : 1 },
  )
  save(address, `${fileName(title)}.${format}`)
}

/** Plotly reads a text as HTML. */
function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

export function downloadCsv(figure: FigureFacts, title: string): void {
  const address = URL.createObjectURL(new Blob([toCsv(figure.table())], { type: 'text/csv' }))
  save(address, `${fileName(title)}.csv`)
  URL.revokeObjectURL(address)
}

/** Offer text as a file, for instance a configuration. */
export function downloadText(text: string, name: string, type = 'application/json'): void {
  const address = URL.createObjectURL(new Blob([text], { type }))
  save(address, name)
  URL.revokeObjectURL(address)
}

function save(address: string, name: string): void {
  const link = document.createElement('a')
  link.href = address
  link.download = name
  link.click()
}

function fileName(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '')
}
