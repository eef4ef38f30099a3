/**
 * The values of an axis as a person writes them: `1e-5, 2e-5, 5e-5`, a range `1e-5…1e-3 log 7` (seven values, evenly
 * spaced on a logarithmic scale), `4…16 lin 4` or `0…4` (whole numbers, every one), words such as `lora, hd-pissa`, and
 * any mixture separated by commas. Pure.
 */
import { RankscopeError, type SettingValue } from '@rankscope/protocol'

/** Most values of one axis: the schema’s limit. */
const mostValues = 1000

/** CONFIG_INVALID says which part could not be read, and how it is written. A value that is named twice counts once. */
export function parseAxisText(text: string): SettingValue[] {
  const values = text
    .split(/[,;\n]/)
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .flatMap(parsePart)
  if (values.length === 0) throw invalid(text, 'no value is named')
  if (values.length > mostValues) throw invalid(text, `${values.length} values, more than ${mostValues}`)
  return [...new Map(values.map((value) => [JSON.stringify(value), value])).values()]
}

function parsePart(part: string): SettingValue[] {
  // A name may hold dots: only what has a number on both sides is a range.
  const range = /^(\S+?)\s*(?:…|\.\.\.?|\bto\b)\s*(\S+)(?:\s+(log|lin)(?:\s+(\S+))?)?$/.exec(part)
  const ends = range && [Number(range[1]), Number(range[2])]
  if (range && ends!.every(Number.isFinite))
    return rangeValues(part, ends![0]!, ends![1]!, range[3], range[4])
  if (range && (range[3] !== undefined || ends!.some(Number.isFinite)))
    throw invalid(part, 'a range needs two numbers')
  if (part === 'true' || part === 'false') return [part === 'true']
  if (part === 'null' || part === 'none') return [null]
  const number = Number(part)
  if (Number.isFinite(number)) return [number]
  if (/^[-+\d.]/.test(part) || Number.isNaN(number) === false) throw invalid(part, 'it is no number')
  return [part]
}

function rangeValues(
  part: string,
  from: number,
  to: number,
  scale: string | undefined,
  countText: string | undefined,
): number[] {
  if (scale === undefined) return wholeNumbers(part, from, to)
  const count = Number(countText)
  if (!Number.isInteger(count) || count < 2 || count > mostValues)
    throw invalid(part, `${scale} needs a number of values, 2 to ${mostValues}`)
  if (scale === 'lin')
    return Array.from({ length: count }, (_, index) =>
      tidy(from + ((to - from) * index) / (count - 1), index, count, from, to),
    )
  if (from <= 0 || to <= 0) throw invalid(part, 'a logarithmic range needs numbers above 0')
  const ratio = Math.log(to / from)
  return Array.from({ length: count }, (_, index) =>
    tidy(from * Math.exp((ratio * index) / (count - 1)), index, count, from, to),
  )
}

/** The ends exactly as written; between them three significant digits, which is what a person would have typed. */
function tidy(value: number, index: number, count: number, from: number, to: number): number {
  if (index === 0) return from
  return index === count - 1 ? to : Number(value.toPrecision(3))
}

function wholeNumbers(part: string, from: number, to: number): number[] {
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to))
    throw invalid(
      part,
      'a range of numbers that are not whole needs a scale and a count, e.g. 1e-5…1e-3 log 7',
    )
  if (to < from) throw invalid(part, 'the range ends before it begins')
  if (to - from + 1 > mostValues) throw invalid(part, `more than ${mostValues} values`)
  return Array.from({ length: to - from + 1 }, (_, index) => from + index)
}

function invalid(part: string, what: string): RankscopeError {
  return new RankscopeError('CONFIG_INVALID', `“${part}”: ${what}`, {
    hint: 'Write values with commas (1e-5, 2e-5), or a range: 1e-5…1e-3 log 7, 4…16 lin 4, 0…4.',
  })
}

/** An axis’s values in the shortest form that reads back as the same. */
export function axisText(values: readonly SettingValue[]): string {
  return values.map(settingText).join(', ')
}

/** One setting for people: `2e-5`, `hd-pissa`, `none`. */
export function settingText(value: SettingValue): string {
  if (value === null) return 'none'
  if (Array.isArray(value)) return value.join('+')
  if (typeof value !== 'number') return String(value)
  const size = Math.abs(value)
  return size !== 0 && (size < 1e-3 || size >= 1e9) ? value.toExponential().replace('e+', 'e') : String(value)
}
