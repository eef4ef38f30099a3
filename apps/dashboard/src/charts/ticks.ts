/** Where an axis has its ticks and what they say: few, round, and never two that read the same. Pure. */
import { trimExponent } from '../common/format.ts'

/** How numbers of an axis read: counts as 20k, quantities as 0.25 or 1e-4, shares as 25 %. */
export type TickKind = 'count' | 'number' | 'percent'

/** Multiples of 1, 2 or 5 times a power of ten inside [min, max]: about `wanted` of them. */
export function linearTicks(min: number, max: number, wanted: number): number[] {
  const span = max - min
  if (!(span > 0) || !Number.isFinite(span)) return [min]
  const rough = span / Math.max(1, wanted)
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10)
  const first = Math.ceil(min / step - 1e-9)
  const last = Math.floor(max / step + 1e-9)
  // A step below the resolution of the numbers themselves would give the same number again and again.
  return [...new Set(Array.from({ length: Math.min(200, last - first + 1) }, (_, at) => (first + at) * step))]
}

/** Powers of ten inside [min, max]; with 2 and 5 times them where few would be left, linear ones where none would. */
export function logTicks(min: number, max: number, wanted: number): number[] {
  if (!(min > 0) || !(max > min)) return [min]
  const low = Math.floor(Math.log10(min))
  const high = Math.ceil(Math.log10(max))
  const decades = high - low + 1
  const inside = (value: number) => value >= min * (1 - 1e-9) && value <= max * (1 + 1e-9)
  const of = (factors: readonly number[], every: number) =>
    Array.from({ length: decades }, (_, index) => low + index)
      .filter((exponent) => exponent % every === 0)
      .flatMap((exponent) => factors.map((factor) => Number(`${factor}e${exponent}`)))
      .filter(inside)
  const powers = of([1], 1)
  if (powers.length > wanted) return of([1], Math.ceil(powers.length / wanted))
  if (powers.length >= 3) return powers
  const finer = of([1, 2, 5], 1)
  return finer.length >= 2 ? finer : linearTicks(min, max, wanted)
}

/** Labels of ticks, ascending, with the digits that tell neighbours apart. */
export function tickLabels(ticks: readonly number[], kind: TickKind): string[] {
  const gaps = ticks.slice(1).map((tick, index) => Math.abs(tick - ticks[index]!))
  const gap = Math.min(...gaps.filter((size) => size > 0), Number.POSITIVE_INFINITY)
  const labels = ticks.map((tick) => tickLabel(tick, Number.isFinite(gap) ? gap : Math.abs(tick), kind))
  return new Set(labels).size === labels.length
    ? labels
    : ticks.map((tick) => trimExponent(tick.toExponential()))
}

function tickLabel(value: number, gap: number, kind: TickKind): string {
  if (value === 0) return kind === 'percent' ? '0 %' : '0'
  const size = Math.abs(value)
  if (kind === 'percent') return `${fixed(100 * value, 100 * gap)} %`
  if (kind === 'count') {
    // Close up, 54,582 and 54,584 are steps, not 54.582k.
    const unit = counts.find(([limit]) => size >= limit && gap >= limit / 100)
    if (unit) return `${fixed(value / unit[0], gap / unit[0])}${unit[1]}`
    if (size >= 1) return Number(value.toFixed(decimals(gap))).toLocaleString('en-US', grouped)
  }
  if (size >= 1e5 || size < 1e-3) {
    const digits = Math.max(0, Math.floor(Math.log10(size)) - Math.floor(Math.log10(gap)))
    return trimExponent(value.toExponential(Math.min(15, digits)))
  }
  return fixed(value, gap)
}

const grouped = { maximumFractionDigits: 12 } as const
const counts = [
  [1e12, 'T'],
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
] as const

function decimals(gap: number): number {
  return Math.min(12, Math.max(0, -Math.floor(Math.log10(gap) + 1e-9)))
}

function fixed(value: number, gap: number): string {
  return String(Number(value.toFixed(decimals(gap))))
}
