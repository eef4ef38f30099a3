/** The caption of a saved chart: what is shown, of which runs, modules and step, and of how many. Pure. */
import type { Figure } from './figure.ts'

/** More names than that say less than their number. */
const mostNames = 8

/** `facts`: what the chart knows beside its curves, e.g. `module q_proj of layer 0` or `step 96`. */
export function captionOf(title: string, figure: Figure, facts: readonly string[] = []): string {
  const names = namesIn(figure)
  const n = figure.kind === 'lines' ? new Set(figure.curves.map(({ runId }) => runId)).size : null
  const shown = names.slice(0, mostNames).join('; ')
  const more = names.length > mostNames ? ` and ${names.length - mostNames} more` : ''
  const parts = [
    ...(names.length > 0 ? [`${shown}${more}`] : []),
    ...(n === null || n === 0 ? [] : [`n = ${n} ${n === 1 ? 'run' : 'runs'}`]),
    ...facts,
    ...(figure.notes ?? []),
  ]
  return `${title}: ${parts.join(', ')}.`
}

function namesIn(figure: Figure): string[] {
  const names =
    figure.kind === 'lines'
      ? [...figure.curves, ...figure.bands].map(({ label }) => label)
      : figure.traces.flatMap((trace) => {
          const { name, showlegend } = trace as { name?: unknown; showlegend?: unknown }
          return typeof name === 'string' && showlegend !== false ? [name] : []
        })
  return [...new Set(names)]
}
