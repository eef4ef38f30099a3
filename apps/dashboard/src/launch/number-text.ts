/** Numbers in form fields. Pure. */

/** null for an empty text; the text itself where it is no number, so that validation can say so. */
export function parseNumber(text: string): number | null | string {
  const trimmed = text.trim()
  if (trimmed === '') return null
  const number = Number(trimmed)
  return Number.isNaN(number) ? trimmed : number
}

/** `0.00002` as `2e-5`, other numbers in full. */
export function numberText(value: unknown): string {
  if (typeof value !== 'number') return value === null || value === undefined ? '' : String(value)
  const size = Math.abs(value)
  return size !== 0 && (size < 1e-3 || size >= 1e9) ? value.toExponential().replace('e+', 'e') : String(value)
}
