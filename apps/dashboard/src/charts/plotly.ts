/** The one plotly.js of this page, loaded when the first chart appears. Core includes the scatter trace; nothing else is needed. */
import type * as PlotlyModule from 'plotly.js'

export type Plotly = Pick<typeof PlotlyModule, 'react' | 'purge' | 'toImage' | 'Plots'>

let loading: Promise<Plotly> | null = null

export function loadPlotly(): Promise<Plotly> {
  loading ??= import('plotly.js/lib/core').then(
    // A CommonJS module: the bundler puts its exports under `default`.
    (module) => ((module as unknown as { default?: Plotly }).default ?? module) as Plotly,
    (error: unknown) => {
      loading = null
      throw error
    },
  )
  return loading
}
