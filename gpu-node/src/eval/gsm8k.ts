/**
 * GSM8K: the number that a completion ends with (METHODS 6.3).
 *
 * `metaMathNumber` repeats the evaluation script of MetaMath, which PiSSA and HD-PiSSA use, quirks included, so that
 * scores can be compared with published ones: one separator at most (1,234,567 becomes 1234), decimals and
 * fractions are rounded half to even.
 */

const marker = 'The answer is: '

/** After the last "The answer is: ": the first number, rounded; null where there is none. */
export function metaMathNumber(completion: string): number | null {
  const parts = completion.split(marker)
  if (parts.length < 2) return null
  const found = /[-+]?\d*[.,/]?\d+/.exec((parts.at(-1) as string).trim())?.[0]
  if (found === undefined) return null
  if (!found.includes('/')) return finite(roundHalfEven(Number(found.replaceAll(',', ''))))
  const [above, below] = found.split('/') as [string, string]
  if (above === '' || above === '-' || above === '+') return null
  const [numerator, denominator] = [Number(above), Number(below)]
  return finite(roundHalfEven(denominator === 0 ? numerator : numerator / denominator))
}

/** After "#### ", as in the data set's own solutions; commas are dropped. */
export function officialNumber(solution: string): number | null {
  const found = /#### (-?[0-9.,]+)/.exec(solution)?.[1]
  return found === undefined ? null : finite(Number(found.replaceAll(',', '')))
}

/** lm-evaluation-harness's flexible rule: the last number anywhere, dollar signs and commas dropped. */
export function flexibleNumber(completion: string): number | null {
  const found = [...completion.matchAll(/(-?[$0-9.,]{2,})|(-?[0-9]+)/g)].at(-1)?.[0]
  return found === undefined ? null : finite(Number(found.replaceAll(/[$,]/g, '').replace(/\.$/, '')))
}

/** Python's round: halves go to the even neighbour. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  if (rest !== 0.5) return Math.round(value)
  return floor % 2 === 0 ? floor : floor + 1
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null
}
