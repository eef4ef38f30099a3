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
 * The pattern with flags `gu`, for `matchesOf`; `place` names it in errors. Throws TOKENIZER_BROKEN for constructs that
 * mean something else in JavaScript.
 */
export function compile(pattern: Pattern, place: string): RegExp {
  if ('String' in pattern) return literal([pattern.String])
  const source = pattern.Regex
  const refuse = (what: string, cause?: unknown) =>
    tokenizerBroken(
      `tokenizer.json: ${place} ${what} in ${source}, which is not supported here`,
      'Tokenise the data beforehand (a source of kind tokens).',
      cause,
    )
  const foreign = foreignConstruct(source)
  if (foreign) throw refuse(`uses ${foreign}`)
  const Regex = spellCases(source)
  if (Regex === null) throw refuse('ignores case in more than letters of English')
  let compiled: RegExp
  try {
    const split = { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false } as const
    compiled = new SplitPreTokenizer(split).pattern
  } catch (cause) {
    throw refuse(`has something that JavaScript does not read (${(cause as Error).message})`, cause)
  }
  // After a line break at the end of a text no line begins, for Oniguruma.
  if (/\^/u.test(withoutClasses(source)) && [...'\n'.matchAll(compiled)].some(isEmpty))
    throw refuse('uses ^ by itself')
  return compiled
}

/**
 * The matches of `pattern` as Oniguruma finds them: nothing is no match beside the match before it, nor within a
 * character of two halves.
 */
export function* matchesOf(text: string, pattern: RegExp): Generator<RegExpExecArray> {
  let end = -1
  for (const match of text.matchAll(pattern)) {
    if (isEmpty(match) && (match.index === end || isWithinCharacter(text, match.index))) continue
    end = match.index + match[0].length
    yield match
  }
}

/** `text` with every match of `pattern` as `content`, to the letter. */
export function replaceMatches(text: string, pattern: RegExp, content: string): string {
  let result = ''
  let end = 0
  for (const { 0: found, index } of matchesOf(text, pattern)) {
    result += text.slice(end, index) + content
    end = index + found.length
  }
  return result + text.slice(end)
}

function isEmpty(match: RegExpExecArray): boolean {
  return match[0] === ''
}

function isWithinCharacter(text: string, index: number): boolean {
  return index > 0 && (text.codePointAt(index - 1) ?? 0) > 0xffff
}

function withoutClasses(source: string): string {
  return source.replace(/\\[^GKgk1-9u]/gsu, '_').replace(/\[[^\]]*\]/gu, '_')
}

/**
 * Atomic groups and possessive quantifiers never give back, \G and \K anchor to the last match, a group that took no part
 * fails where it is referred to, and halves of a character are characters of their own.
 */
function foreignConstruct(source: string): string | undefined {
  const halves = /\\u[dD][89a-fA-F]/u.exec(source)?.[0]
  return halves ?? /\(\?>|[+*?]\+|\\[GKgk1-9]/u.exec(withoutClasses(source))?.[0]
}

/** What a letter matches where case is ignored: beside its two cases the long s, and the sign of the kelvin. */
function anyCase(letter: string): string {
  const [lower, upper] = [letter.toLowerCase(), letter.toUpperCase()]
  return lower + upper + (lower === 's' ? '\u017F' : lower === 'k' ? '\u212A' : '')
}

/**
 * The pattern with each group `(?i:…)` spelled out; null where one holds more than English letters, apostrophes,
 * alternatives and classes of letters, or two letters that are also one character ("ss" is ß).
 */
function spellCases(source: string): string | null {
  const group = /\(\?i:((?:[A-Za-z'|?]|\[[A-Za-z']+\])*)\)/gu
  const inner = [...source.matchAll(group)].map((match) => match[1]!)
  if (inner.some((text) => /ss|st|ff|fi|fl/iu.test(text.replace(/\[[^\]]*\]/gu, '_')))) return null
  const spelled = source.replace(group, (_, text: string) => {
    const parts = text.replace(/\[[^\]]*\]|[A-Za-z]/gu, (part) =>
      part.startsWith('[') ? part.replace(/[A-Za-z]/gu, anyCase) : `[${anyCase(part)}]`,
    )
    return `(?:${parts})`
  })
  return /\(\?[a-zA-Z]*i/u.test(spelled.replace(/\\./gsu, '_')) ? null : spelled
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
  for (const { 0: found, index } of matchesOf(text, pattern)) {
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
