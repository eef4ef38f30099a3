/** Patterns of tokenizer.json (Oniguruma) as regular expressions of JavaScript, and text cut by their matches. */
import { type Pattern, type SplitBehavior, tokenizerBroken } from './definition.ts'
import { SplitPreTokenizer } from './library.ts'

/** A stretch of text on its way to the model. */
export interface Piece {
  readonly text: string
  /** Nothing of the text stands before it. */
  readonly atStart: boolean
}

/** A letter of Rust's regular expressions, which the library uses for its own cuts. */
export const wordClass = String.raw`[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]`

/**
 * The pattern with flags `gu`; `place` names it in errors. Throws TOKENIZER_BROKEN for constructs that mean something
 * else in JavaScript: atomic groups and possessive quantifiers, which never give back, and anchors to the last match.
 */
export function compile(pattern: Pattern, place: string): RegExp {
  if ('String' in pattern) return literal([pattern.String])
  const source = pattern.Regex
  const withoutClasses = source.replace(/\\[^GK]/gsu, '_').replace(/\[[^\]]*\]/gu, '_')
  const foreign = /\(\?>|[+*?]\+|\\[GK]/u.exec(withoutClasses)?.[0]
  const hint = 'Tokenise the data beforehand (a source of kind tokens).'
  if (foreign)
    throw tokenizerBroken(
      `tokenizer.json: ${place} uses ${foreign} in ${source}, which is not supported here`,
      hint,
    )
  try {
    return new SplitPreTokenizer({ type: 'Split', pattern, behavior: 'Isolated', invert: false }).pattern
  } catch (cause) {
    throw tokenizerBroken(`tokenizer.json: ${place}: ${(cause as Error).message}`, hint, cause)
  }
}

/** Finds any of the texts, the first of those that match. */
export function literal(texts: readonly string[]): RegExp {
  return new RegExp(texts.map((text) => text.replace(/[\\^$.*+?()[\]{}|/]/gu, '\\$&')).join('|'), 'gu')
}

/** `text` cut at the matches of `pattern`; what becomes of the matches is the behaviour's. No piece is empty. */
export function cut(piece: Piece, pattern: RegExp, behavior: SplitBehavior, invert = false): Piece[] {
  const parts = matchesAndGaps(piece.text, pattern).map((part) => ({
    ...part,
    matched: part.matched !== invert,
  }))
  return joined(parts, behavior)
    .filter(({ text }) => text !== '')
    .map(({ text, start }) => ({ text, atStart: piece.atStart && start === 0 }))
}

interface Part {
  readonly text: string
  readonly start: number
  readonly matched: boolean
}

/** All of the text in order: matches, empty ones included, and what lies between them. */
function matchesAndGaps(text: string, pattern: RegExp): Part[] {
  const parts: Part[] = []
  let end = 0
  for (const { 0: found, index } of text.matchAll(pattern)) {
    if (index > end) parts.push({ text: text.slice(end, index), start: end, matched: false })
    parts.push({ text: found, start: index, matched: true })
    end = index + found.length
  }
  if (end < text.length) parts.push({ text: text.slice(end), start: end, matched: false })
  return parts
}

function joined(parts: readonly Part[], behavior: SplitBehavior): Part[] {
  const join = (a: Part, b: Part): Part => ({ ...a, text: a.text + b.text })
  const result: Part[] = []
  switch (behavior) {
    case 'Isolated':
      return [...parts]
    case 'Removed':
      return parts.filter(({ matched }) => !matched)
    case 'Contiguous':
      parts.forEach((part, index) => {
        const before = result.at(-1)
        if (before && part.matched === parts[index - 1]?.matched)
          result[result.length - 1] = join(before, part)
        else result.push(part)
      })
      return result
    case 'MergedWithPrevious':
      // The first of several matches in a row goes to what precedes it, the others stand alone.
      parts.forEach((part, index) => {
        const before = result.at(-1)
        if (before && part.matched && !parts[index - 1]?.matched)
          result[result.length - 1] = join(before, part)
        else result.push(part)
      })
      return result
    case 'MergedWithNext':
      for (let index = parts.length - 1; index >= 0; index--) {
        const part = parts[index]!
        const after = result[0]
        if (after && part.matched && !parts[index + 1]?.matched) result[0] = join(part, after)
        else result.unshift(part)
      }
      return result
  }
}
