/** Save a chart as PNG, SVG or CSV, with its title, a legend and a solid ground. */
import type { Layout } from 'plotly.js'
import { toCsv } from './csv.ts'
import type { ChartTheme, FigureFacts, PlotlyFigure } from './figure.ts'
import { loadPlotly } from './plotly.ts'

export type ImageFormat = 'png' | 'svg'

export async function downloadImage(
  figure: PlotlyFigure,
  title: string,
  format: ImageFormat,
  theme: ChartTheme,
): Promise<void> {
  const plotly = await loadPlotly(figure.needs)
  const layout: Partial<Layout> = {
    ...figure.layout,
    title: { text: title, font: { size: 16 } },
    paper_bgcolor: theme.background,
    plot_bgcolor: theme.background,
    showlegend: true,
    legend: { orientation: 'h', y: -0.18 },
    margin: { l: 70, r: 24, t: 60 + (figure.layout.margin?.t ?? 0), b: 80 },
  }
  const address = await plotly.toImage(
    { data: figure.traces, layout },
    { format, width: 1000, height: 620, scale: format === 'png' ? 2 : 1 },
  )
  save(address, `${fileName(title)}.${format}`)
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
