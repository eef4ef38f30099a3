/** What the horizontal axis of a scalar chart measures: steps, tokens seen, or time since the start. Pure. */
import { scalarNames } from '@rankscope/protocol'
import type { Series } from '../live/series.ts'

/** A copy: x of each point of `series`; seconds for time. Tokens between two known points are interpolated. */
export function xValues(
  all: ReadonlyMap<string, Series>,
  series: Series,
  kind: 'step' | 'tokens' | 'time',
  originMs: number,
): Float64Array {
  const steps = series.steps.view()
  if (kind === 'time') return Float64Array.from(series.timesMs.view(), (time) => (time - originMs) / 1000)
  const tokens = all.get(scalarNames.tokens)
  if (kind === 'step' || !tokens || tokens.length === 0) return Float64Array.from(steps)
  return Float64Array.from(steps, (step) => tokensAt(tokens, step))
}

/** Tokens seen at a step; 0 at step 0, extrapolated at the last known rate beyond the end. */
export function tokensAt(tokens: Series, step: number): number {
  const after = tokens.indexOfStep(step)
  if (after < tokens.length && tokens.steps.at(after) === step) return tokens.last.at(after)
  const right = Math.min(after, tokens.length - 1)
  const [x0, y0] = right === 0 ? [0, 0] : [tokens.steps.at(right - 1), tokens.last.at(right - 1)]
  const [x1, y1] = [tokens.steps.at(right), tokens.last.at(right)]
  return x1 === x0 ? y1 : y0 + ((step - x0) / (x1 - x0)) * (y1 - y0)
}

/** Unit for a time axis whose curves end after these many seconds. */
export function timeUnit(lastSeconds: readonly number[]): { unit: string; divisor: number } {
  const longest = Math.max(0, ...lastSeconds)
  if (longest < 180) return { unit: 's', divisor: 1 }
  if (longest < 3 * 3600) return { unit: 'min', divisor: 60 }
  return { unit: 'h', divisor: 3600 }
}
