/** Points that a chart’s axes have no place for: marked where they happen, and counted in words. Pure. */
import type { Envelope } from './decimate.ts'
import type { LineCurve, Misfit } from './figure.ts'

/** The misfits of points that may each stand for several, as they were joined; `nans`: how many of each are NaN. */
export function misfitsOf(
  x: ArrayLike<number>,
  joined: Pick<Envelope, 'low' | 'below' | 'above'>,
  nans: ArrayLike<number>,
  log: boolean,
): Misfit[] {
  const found: Misfit[] = []
  for (let index = 0; index < x.length; index++) {
    const add = (kind: Misfit['kind'], count = 1) => found.push({ x: x[index]!, kind, count })
    if (nans[index]! > 0) add('NaN', nans[index])
    if (joined.above[index]) add('+∞')
    if (joined.below[index]) add('−∞')
    if (log && joined.low[index]! <= 0) add('≤ 0')
  }
  return found
}

/** For instance “3 NaN, 1 +∞; 12 points at or below 0 have no place on a logarithmic axis”; null where there is none. */
export function misfitNote(curves: readonly Pick<LineCurve, 'misfits'>[]): string | null {
  const counts = new Map<Misfit['kind'], number>()
  for (const { misfits } of curves)
    for (const { kind, count } of misfits) counts.set(kind, (counts.get(kind) ?? 0) + count)
  if (counts.size === 0) return null
  const infinite = (['NaN', '+∞', '−∞'] as const).flatMap((kind) => {
    const count = counts.get(kind)
    return count === undefined ? [] : `${count.toLocaleString('en-US')} ${kind}`
  })
  const below = counts.get('≤ 0')
  return [
    ...(infinite.length > 0 ? [`${infinite.join(', ')}: marked at the edge`] : []),
    ...(below === undefined
      ? []
      : [
          `${below.toLocaleString('en-US')} ${below === 1 ? 'point' : 'points'} at or below 0 ${below === 1 ? 'has' : 'have'} no place on a logarithmic axis`,
        ]),
  ].join('; ')
}
