/** Values inside nested objects by dotted path. Pure. */

export function getAt(value: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((inner, key) => (inner as Record<string, unknown> | null | undefined)?.[key], value)
}

/** A copy with the value at the path replaced; siblings are shared. */
export function setAt<T>(value: T, path: string, replacement: unknown): T {
  const [key, ...rest] = path.split('.') as [string, ...string[]]
  const object = (value ?? {}) as Record<string, unknown>
  return {
    ...object,
    [key]: rest.length === 0 ? replacement : setAt(object[key], rest.join('.'), replacement),
  } as T
}
