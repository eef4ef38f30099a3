/** Values inside nested objects by dotted path. Pure. */

export function getAt(value: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((inner, key) => (inner as Record<string, unknown> | null | undefined)?.[key], value)
}

/** A copy with the value at the path replaced; siblings are shared. Of lists, a number names the place. */
export function setAt<T>(value: T, path: string, replacement: unknown): T {
  const [key, ...rest] = path.split('.') as [string, ...string[]]
  const object = (value ?? {}) as Record<string, unknown>
  const inner = rest.length === 0 ? replacement : setAt(object[key], rest.join('.'), replacement)
  return (Array.isArray(value) ? value.with(Number(key), inner) : { ...object, [key]: inner }) as T
}
