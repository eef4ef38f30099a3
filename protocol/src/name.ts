/**
 * What people call things: runs, groups, tags, nodes, files. One line that every terminal, table and database shows as
 * it was meant: refused at the edge are NUL and other control characters, line separators, lone surrogates (no text at
 * all), and the marks that turn the direction of what stands around them (a name that reads as another).
 */
import { z } from 'zod'

const unseemly = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u
const visible = /[\p{L}\p{N}\p{P}\p{S}]/u

/** What is wrong with a name, as a sentence’s end, or null. */
export function nameFault(name: string): string | null {
  const found = unseemly.exec(name)
  if (found) {
    const code = found[0].codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')
    return `must not hold the character U+${code} (position ${found.index + 1})`
  }
  if (!visible.test(name)) return 'must have a visible character'
  // A key of that name is no key in JavaScript.
  return name === '__proto__' ? 'must not be __proto__' : null
}

/** A name of at most `longest` UTF-16 units. */
export function nameSchema(longest: number, missing?: string) {
  return z
    .string()
    .min(1, missing)
    .max(longest)
    .superRefine((name, context) => {
      // Not looked through where it is too long anyway: it may hold megabytes.
      const fault = name.length > longest || name === '' ? null : nameFault(name)
      if (fault !== null) context.addIssue({ code: 'custom', message: fault })
    })
}

/** Lengths of the names that there are. */
export const nameLengths = { name: 120, tag: 60, path: 4096, key: 200, series: 512, id: 64 } as const

export const pathSchema = (missing?: string) => nameSchema(nameLengths.path, missing)
/** An identifier that we made up ourselves: of runs and nodes. */
export const idSchema = z
  .string()
  .min(1)
  .max(nameLengths.id)
  .regex(/^[\w-][\w.:-]*$/, 'must be letters, digits and . : _ - only')
