/**
 * One stable colour per run, everywhere. Runs take the palette’s colours in order of creation (as listed, within one moment), so that the
 * runs of one comparison differ; an assignment, once made, is kept even when other runs are deleted.
 */

/** Distinguishable with colour-vision deficiencies (after Okabe & Ito 2008), with enough contrast on both grounds. */
export const palette: readonly { light: string; dark: string }[] = [
  { light: '#0072b2', dark: '#4ba3e3' },
  { light: '#d47f00', dark: '#f2a93b' },
  { light: '#00845f', dark: '#2cc295' },
  { light: '#c2410c', dark: '#ff7f50' },
  { light: '#a3478f', dark: '#df8fc8' },
  { light: '#5b4bc4', dark: '#a79bff' },
  { light: '#757500', dark: '#cfcf52' },
  { light: '#566270', dark: '#aab6c2' },
]

const dashes = ['solid', 'dash', 'dot', 'dashdot'] as const
export type Dash = (typeof dashes)[number]

/** Colour numbers of runs, by run id. */
export type ColourAssignment = Readonly<Record<string, number>>

/** The assignment extended to runs that have none; the same object where nothing is new. */
export function assignColours(
  assigned: ColourAssignment,
  runs: readonly { runId: string; createdMs: number }[],
): ColourAssignment {
  const fresh = runs.filter((run) => assigned[run.runId] === undefined)
  if (fresh.length === 0) return assigned
  const extended = { ...assigned }
  let next = Object.values(assigned).reduce((highest, number) => Math.max(highest, number + 1), 0)
  for (const run of fresh.sort((a, b) => a.createdMs - b.createdMs)) extended[run.runId] = next++
  return extended
}

export function colourOf(number: number | undefined, scheme: 'light' | 'dark'): string {
  return palette[(number ?? 0) % palette.length]![scheme]
}

/** Line styles for runs shown together: the second run of one colour is dashed, the third dotted. */
export function dashesOf(numbers: readonly (number | undefined)[]): Dash[] {
  const used = new Map<number, number>()
  return numbers.map((number) => {
    const colour = (number ?? 0) % palette.length
    const before = used.get(colour) ?? 0
    used.set(colour, before + 1)
    return dashes[before % dashes.length]!
  })
}
