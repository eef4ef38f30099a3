/** Numbers as people read them: few digits, SI suffixes for counts, powers of ten for the very small. */

const missing = '–'
/** One for all numbers: making one for each takes a hundred times as long as formatting. */
const grouped = new Intl.NumberFormat('en-US')
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' })
const moment = new Intl.DateTimeFormat('en-GB', { dateStyle: 'short', timeStyle: 'medium' })

/** A measured quantity with about `digits` significant digits: `0.483`, `3.2e-4`, `12,400`. */
export function formatNumber(value: number | null | undefined, digits = 3): string {
  if (value === null || value === undefined) return missing
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞'
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size < 1e-3 || size >= 1e6) return trimExponent(value.toExponential(digits - 1))
  if (size >= 1000) return grouped.format(Math.round(value))
  return String(Number(value.toPrecision(digits)))
}

/** A number in full, such as a step: `54,580`; what is no whole number keeps up to `digits` significant digits. */
export function formatExact(value: number | null | undefined, digits = 6): string {
  if (value === null || value === undefined) return missing
  return Number.isSafeInteger(value) ? grouped.format(value) : formatNumber(value, digits)
}

/** A count: `950`, `4,096`, `41.9 M`, `1.24 B`. */
export function formatCount(value: number | null | undefined): string {
  if (value === null || value === undefined) return missing
  if (!Number.isFinite(value)) return formatNumber(value)
  if (Math.abs(Math.round(value)) < 10_000) return grouped.format(Math.round(value))
  return inUnits(value, [
    [1e3, 'k'],
    [1e6, 'M'],
    [1e9, 'B'],
    [1e12, 'T'],
  ])
}

export function formatBytes(bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined) return missing
  if (!Number.isFinite(bytes)) return formatNumber(bytes)
  return inUnits(bytes, [
    [1, 'B'],
    [2 ** 10, 'KiB'],
    [2 ** 20, 'MiB'],
    [2 ** 30, 'GiB'],
    [2 ** 40, 'TiB'],
  ])
}

/** Three digits of the largest unit that leaves at least one; rounding may reach the next: 999,999 is 1 M, not 1000 k. */
function inUnits(value: number, units: readonly (readonly [size: number, unit: string])[]): string {
  const rounded = (size: number) =>
    Math.abs(value / size) >= 1000 ? Math.round(value / size) : Number((value / size).toPrecision(3))
  const [size, unit] =
    units.findLast(([limit]) => Math.abs(Number(value.toPrecision(3))) >= limit) ?? units[0]!
  return `${rounded(size)} ${unit}`
}

/** A share with one decimal. Only all of it reads 100 %, and only none of it 0 %. */
export function formatPercent(share: number | null | undefined): string {
  if (share === null || share === undefined) return missing
  if (!Number.isFinite(share)) return formatNumber(share)
  const percent = share * 100
  if (percent > 99.9 && percent < 100) return '> 99.9 %'
  if (percent > 0 && percent < 0.05) return '< 0.1 %'
  return `${Number.isInteger(percent) && (percent === 0 || percent === 100) ? percent : percent.toFixed(1)} %`
}

/** A span of time: `0.4 s`, `42 s`, `3 min 05 s`, `2 h 14 min`, `3 d 4 h`. */
export function formatDuration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return missing
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`
  const minutes = Math.round(whole / 60)
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`
  const hours = Math.round(minutes / 60)
  return `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** How long ago: `now`, `12 s ago`, `5 min ago`, `3 h ago`, then the date. */
export function formatAge(timeMs: number, nowMs: number): string {
  const seconds = Math.max(0, (nowMs - timeMs) / 1000)
  if (seconds < 5) return 'now'
  if (seconds < 60) return `${Math.floor(seconds)} s ago`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`
  return day.format(timeMs)
}

/** Date and time of day to the second: `26/11/2026, 17:41:05`. */
export function formatMoment(timeMs: number): string {
  return moment.format(timeMs)
}

/** `model.layers.3.self_attn.q_proj` as `3 · q_proj`; other names unchanged. */
export function shortModule(module: string): string {
  const match = /layers\.(\d+)\.(?:.*\.)?([^.]+)$/.exec(module)
  return match ? `${match[1]} · ${match[2]}` : module
}

/** `1.20e+5` as `1.2e5`. */
export function trimExponent(text: string): string {
  const [mantissa, exponent] = text.split('e')
  return `${Number(mantissa)}e${Number(exponent)}`
}
