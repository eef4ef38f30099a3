/** Which shortcut a key completes. Pure. */
export type Shortcut = { keys: string; group: string; label: string; run: () => void }

/** `pending` is the first key of a possible pair such as “g r”, or null; the caller keeps it. */
export function matchShortcut(
  shortcuts: readonly Shortcut[],
  key: string,
  pending: string | null,
): { run: Shortcut | null; pending: string | null } {
  const sequence = pending === null ? key : `${pending} ${key}`
  const exact = shortcuts.find((shortcut) => shortcut.keys === sequence)
  if (exact) return { run: exact, pending: null }
  const begins = shortcuts.some((shortcut) => shortcut.keys.startsWith(`${key} `) && shortcut.keys !== ' ')
  return { run: null, pending: begins ? key : null }
}
