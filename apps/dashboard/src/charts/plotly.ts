/** The one plotly.js of this page, loaded when a chart that needs it comes into sight; kinds of traces beyond scatter with their first use. */
import type * as PlotlyModule from 'plotly.js'
import type { PlotlyTrace } from './figure.ts'

export type Plotly = Pick<typeof PlotlyModule, 'react' | 'purge' | 'toImage' | 'Plots'> & {
  register: (modules: unknown) => void
}

const traces: Record<PlotlyTrace, () => Promise<unknown>> = {
  heatmap: () => import('plotly.js/lib/heatmap'),
  surface: () => import('plotly.js/lib/surface'),
}

let core: Promise<Plotly> | null = null
const registered = new Map<PlotlyTrace, Promise<void>>()

/** With the trace that a figure needs beyond scatter. */
export async function loadPlotly(needs?: PlotlyTrace): Promise<Plotly> {
  core ??= import('plotly.js/lib/core').then(
    (module) => commonJs<Plotly>(module),
    (error: unknown) => {
      core = null
      throw error
    },
  )
  const plotly = await core
  if (needs === undefined) return plotly
  const loading =
    registered.get(needs) ??
    traces[needs]().then((module) => {
      plotly.register(commonJs(module))
    })
  registered.set(needs, loading)
  try {
    await loading
  } catch (error) {
    registered.delete(needs)
    throw error
  }
  return plotly
}

/** The bundler puts the exports of a CommonJS module under `default`. */
function commonJs<T>(module: unknown): T {
  return ((module as { default?: T }).default ?? module) as T
}
