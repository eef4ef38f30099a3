/** The words of the filter language, each with its place in the text. Pure. */

export type Token = { from: number; to: number } & (
  | { kind: 'name'; text: string }
  | { kind: 'number'; number: number; text: string }
  | { kind: 'text'; text: string }
  | { kind: 'operator'; operator: Operator }
  | { kind: '(' | ')' | ',' | 'and' | 'or' | 'not' | 'in' | 'colon' }
)

export const operators = ['<=', '>=', '!=', '<', '>', '=', '~'] as const
export type Operator = (typeof operators)[number]

/** Where the text cannot be understood. `at` and `to` are the part to point at. */
export class FilterError extends Error {
  readonly at: number
  readonly to: number

  constructor(message: string, at: number, to: number) {
    super(message)
    this.at = at
    this.to = Math.max(to, at + 1)
  }
}

const number = /^[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?(?![\w./-])/i
/** Names hold dots, slashes and hyphens: `method.rank`, `train/loss`, `hd-pissa`. */
const name = /^[\p{L}_][\p{L}\p{N}_./-]*/u

/** Throws FilterError at what is no word of the language. */
export function tokensOf(text: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  while (at < text.length) {
    const rest = text.slice(at)
    const space = /^\s+/.exec(rest)?.[0].length ?? 0
    if (space > 0) {
      at += space
      continue
    }
    const token = tokenAt(rest, at, text)
    tokens.push(token)
    at = token.to
  }
  return tokens
}

function tokenAt(rest: string, from: number, text: string): Token {
  const first = rest[0]!
  if (first === '"') {
    const end = rest.indexOf('"', 1)
    if (end === -1) throw new FilterError('this text has no closing quote', from, text.length)
    return { kind: 'text', text: rest.slice(1, end), from, to: from + end + 1 }
  }
  if (first === '(' || first === ')' || first === ',') return { kind: first, from, to: from + 1 }
  if (first === ':') return { kind: 'colon', from, to: from + 1 }
  const operator = operators.find((candidate) => rest.startsWith(candidate))
  if (operator) {
    // Programmers write it twice.
    const length = rest.startsWith('==') ? 2 : operator.length
    return { kind: 'operator', operator, from, to: from + length }
  }
  const digits = number.exec(rest)?.[0]
  if (digits !== undefined)
    return { kind: 'number', number: Number(digits), text: digits, from, to: from + digits.length }
  if (first === '-' || first === '!') return { kind: 'not', from, to: from + 1 }
  const word = name.exec(rest)?.[0] ?? /^[\p{N}][\p{L}\p{N}_./-]*/u.exec(rest)?.[0]
  if (word === undefined) throw new FilterError(`“${first}” means nothing here`, from, from + 1)
  const lower = word.toLowerCase()
  const to = from + word.length
  if (lower === 'and' || lower === 'or' || lower === 'not' || lower === 'in') return { kind: lower, from, to }
  return { kind: 'name', text: word, from, to }
}
