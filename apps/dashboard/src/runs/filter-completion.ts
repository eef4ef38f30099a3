/** What may come next in a filter: fields, operators, or values that the runs have. Pure. */
import type { RunView } from '@rankscope/protocol'
import { FilterError, operators, type Token, tokensOf } from './filter-tokens.ts'
import { fieldReader, valueText } from './run-fields.ts'

export type Completion = {
  text: string
  /** The part of the filter that it takes the place of. */
  from: number
  to: number
}

const most = 12

export function completions(
  text: string,
  caret: number,
  fields: readonly string[],
  runs: readonly RunView[],
): Completion[] {
  const tokens = tokensBefore(text.slice(0, caret))
  if (tokens === null) return []
  const last = tokens.at(-1)
  // A word that touches the caret is still being written.
  const written = last && last.to === caret && (last.kind === 'name' || last.kind === 'text') ? last : null
  const before = written ? tokens.slice(0, -1) : tokens
  const [previous, field] = [before.at(-1), before.at(-2)]
  const place = { from: written?.from ?? caret, to: caret }
  const started = written && 'text' in written ? written.text.toLowerCase() : ''
  const offer = (words: readonly string[]) =>
    matching(words, started).map((word) => ({ text: word, ...place }))
  if ((previous?.kind === 'operator' || previous?.kind === 'colon') && field?.kind === 'name')
    return offer(valuesOf(field.text, fields, runs))
  if (!written && previous?.kind === 'name') return offer([...operators, 'in (', ':'])
  if (!written && (previous?.kind === 'number' || previous?.kind === 'text' || previous?.kind === ')'))
    return offer(['and', 'or'])
  return offer(fields)
}

/** Beginning with what is written first, then containing it. */
function matching(words: readonly string[], started: string): string[] {
  const lower = words.map((word) => word.toLowerCase())
  const begins = words.filter((_, index) => lower[index]!.startsWith(started) && lower[index] !== started)
  const contains = words.filter(
    (_, index) => lower[index]!.includes(started) && !lower[index]!.startsWith(started),
  )
  return [...begins, ...contains].slice(0, most)
}

function valuesOf(name: string, fields: readonly string[], runs: readonly RunView[]): string[] {
  const read = fieldReader(name, new Set(fields))
  if (!read) return []
  const values = new Set<string>()
  for (const run of runs) {
    const value = read(run, 0)
    const found = typeof value === 'object' && value !== null ? value : [valueText(value)]
    for (const word of found) values.add(/^[\w./-]+$/.test(word) ? word : `"${word}"`)
    if (values.size > 200) break
  }
  return [...values].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
}

function tokensBefore(text: string): Token[] | null {
  try {
    return tokensOf(text)
  } catch (error) {
    if (error instanceof FilterError) return null
    throw error
  }
}
