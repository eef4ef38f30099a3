/** A figure as paper has it: dark ink on white, whatever the scheme of the screen, and a font that every reader of PDF has. Pure. */
import { palette } from '../runs/run-colours.ts'
import { chartThemes, type PlotlyFigure } from './figure.ts'

const inks = new Map<string, string>([
  ...palette.map(({ dark, light }) => [dark, light] as const),
  ...(['text', 'dimmed', 'grid', 'background'] as const).map(
    (part) => [chartThemes.dark[part], chartThemes.light[part]] as const,
  ),
  [chartThemes.light.font, 'Helvetica, Arial, sans-serif'],
])

export function forPrint(figure: PlotlyFigure): PlotlyFigure {
  return {
    ...figure,
    traces: printed(figure.traces) as PlotlyFigure['traces'],
    layout: printed(figure.layout) as PlotlyFigure['layout'],
  }
}

/** Numbers stay as they are, typed arrays too. */
function printed(value: unknown): unknown {
  if (typeof value === 'string') return inked(value)
  if (value === null || typeof value !== 'object' || ArrayBuffer.isView(value)) return value
  if (Array.isArray(value)) return typeof value[0] === 'number' ? value : value.map(printed)
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, printed(inner)]))
}

/** A colour may carry its opacity behind it. */
function inked(text: string): string {
  const [colour, opacity] = /^#[0-9a-f]{8}$/i.test(text) ? [text.slice(0, 7), text.slice(7)] : [text, '']
  return `${inks.get(colour) ?? colour}${opacity}`
}
