/** A configuration as a flat list of settings, `optimizer.learningRate` → `2e-5`. Pure. */

/** Leaves in the order of the object; lists are one leaf, null reads “none”. */
export function flattenConfig(value: unknown, prefix = ''): [path: string, text: string][] {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return [[prefix, leafText(value)]]
  return Object.entries(value).flatMap(([key, child]) =>
    flattenConfig(child, prefix === '' ? key : `${prefix}.${key}`),
  )
}

function leafText(value: unknown): string {
  if (value === null || value === undefined) return 'none'
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(leafText).join(', ')
  if (typeof value === 'object') return JSON.stringify(value)
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (typeof value === 'number' && value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e7))
    return value.toExponential().replace('e+', 'e')
  return String(value)
}
