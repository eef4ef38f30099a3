/**
 * The filter language of the runs list, pure:
 *
 *     filter      := any
 *     any         := all ("or" all)*
 *     all         := one (["and"] one)*
 *     one         := ("not" | "-") one | "(" any ")" | comparison | word
 *     comparison  := value (operator value)+ | field ["not"] "in" "(" literal ("," literal)* ")" | field ":" literal
 *     operator    := "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" (contains)
 *
 * `method = "hd-pissa" and rank >= 16 and 1e-5 < lr < 1e-3`. Fields are those of `run-fields.ts`; words alone are looked
 * for in name, method, state, group and tags. A run without the field satisfies no comparison but `= none`; NaN none.
 */
import type { RunView } from '@rankscope/protocol'
import { FilterError, type Operator, type Token, tokensOf } from './filter-tokens.ts'
import { type FieldValue, fieldReader } from './run-fields.ts'

export type Filter = (run: RunView, nowMs: number) => boolean

export type ParsedFilter = { filter: Filter; error: null } | { filter: null; error: FilterError }

/** Understand a filter over runs that have these fields. */
export function parseFilter(text: string, known: ReadonlySet<string>): ParsedFilter {
  try {
    return { filter: new Parser(text, known).parse(), error: null }
  } catch (error) {
    if (error instanceof FilterError) return { filter: null, error }
    throw error
  }
}

/** One side of a comparison: read from a run, or the same for all. */
type Side =
  | { kind: 'field'; name: string; read: (run: RunView, nowMs: number) => FieldValue; token: Token }
  | { kind: 'literal'; value: FieldValue; token: Token }

class Parser {
  readonly #text: string
  readonly #known: ReadonlySet<string>
  readonly #tokens: Token[]
  #next = 0

  constructor(text: string, known: ReadonlySet<string>) {
    this.#text = text
    this.#known = known
    this.#tokens = tokensOf(text)
  }

  parse(): Filter {
    if (this.#tokens.length === 0) return () => true
    const filter = this.#any()
    const rest = this.#peek()
    if (rest)
      throw this.#error(rest.kind === ')' ? 'this bracket closes none' : 'this is one word too many', rest)
    return filter
  }

  #any(): Filter {
    const parts = [this.#all()]
    while (this.#take('or')) parts.push(this.#all())
    return parts.length === 1 ? parts[0]! : (run, now) => parts.some((part) => part(run, now))
  }

  #all(): Filter {
    const parts = [this.#one()]
    for (;;) {
      const next = this.#peek()
      if (this.#take('and')) parts.push(this.#one())
      else if (!next || next.kind === ')' || next.kind === 'or' || next.kind === ',') break
      else parts.push(this.#one())
    }
    return parts.length === 1 ? parts[0]! : (run, now) => parts.every((part) => part(run, now))
  }

  #one(): Filter {
    if (this.#take('not')) {
      const inner = this.#one()
      return (run, now) => !inner(run, now)
    }
    const open = this.#take('(')
    if (open) {
      const inner = this.#any()
      if (!this.#take(')')) throw this.#error('this bracket is never closed', open)
      return inner
    }
    return this.#comparison()
  }

  #comparison(): Filter {
    const token = this.#peek()
    if (token?.kind !== 'name' && token?.kind !== 'number' && token?.kind !== 'text')
      throw this.#error('here a field, a value or a word is missing', token)
    this.#next++
    const following = this.#peek()
    if (following?.kind === 'colon') {
      this.#next++
      return this.#colon(token)
    }
    if (following?.kind === 'in' || (following?.kind === 'not' && this.#peek(1)?.kind === 'in'))
      return this.#membership(token)
    if (following?.kind !== 'operator') return wordFilter(token.kind === 'number' ? token.text : token.text)
    const sides = [this.#side(token)]
    const links: { operator: Operator }[] = []
    for (;;) {
      const link = this.#peek()
      if (link?.kind !== 'operator') break
      this.#next++
      links.push({ operator: link.operator })
      sides.push(this.#side(this.#value(), sides[0]!.kind === 'field'))
    }
    return this.#chain(sides, links)
  }

  /** `1e-5 < lr < 1e-3`: each neighbouring pair must hold. */
  #chain(sides: readonly Side[], links: readonly { operator: Operator }[]): Filter {
    if (!sides.some((side) => side.kind === 'field'))
      throw this.#error('no field is compared here', sides[0]!.token, sides.at(-1)!.token)
    const pairs = links.map(({ operator }, index) => {
      const [left, right] = [sides[index]!, sides[index + 1]!]
      const isOrder = operator !== '=' && operator !== '!=' && operator !== '~'
      for (const side of [left, right])
        if (isOrder && side.kind === 'literal' && typeof side.value !== 'number')
          throw this.#error('only numbers are larger or smaller', side.token)
      return (run: RunView, now: number) => holds(read(left, run, now), operator, read(right, run, now))
    })
    return (run, now) => pairs.every((pair) => pair(run, now))
  }

  /** `tag:old`: contains; of states and methods, which are words of a closed list, equals. Nothing after it: any. */
  #colon(field: Token & { kind: 'name' | 'number' | 'text' }): Filter {
    const side = this.#field(field)
    const value = this.#peek()
    if (value?.kind !== 'name' && value?.kind !== 'number' && value?.kind !== 'text') return () => true
    this.#next++
    const exact = ['state', 'method'].includes(side.name.toLowerCase())
    return (run, now) => holds(side.read(run, now), exact ? '=' : '~', value.text)
  }

  #membership(field: Token & { kind: 'name' | 'number' | 'text' }): Filter {
    const side = this.#field(field)
    const negated = this.#take('not') !== null
    this.#take('in')
    const open = this.#take('(')
    if (!open) throw this.#error('after “in” comes a list in brackets', this.#peek())
    const values: FieldValue[] = []
    do values.push(literal(this.#value()))
    while (this.#take(','))
    if (!this.#take(')')) throw this.#error('this bracket is never closed', open)
    return (run, now) => values.some((value) => holds(side.read(run, now), '=', value)) !== negated
  }

  /** A name is a field; to the right of a field a name that is none is a word. */
  #side(token: Token & { kind: 'name' | 'number' | 'text' }, mayBeWord = false): Side {
    if (token.kind !== 'name') return { kind: 'literal', value: literal(token), token }
    if (mayBeWord && !fieldReader(token.text, this.#known))
      return { kind: 'literal', value: literal(token), token }
    return this.#field(token)
  }

  #field(token: Token & { kind: 'name' | 'number' | 'text' }): Side & { kind: 'field' } {
    const read = token.kind === 'name' ? fieldReader(token.text, this.#known) : null
    if (!read) {
      const near = nearest(token.text, [...this.#known])
      throw this.#error(`there is no field ${token.text}${near ? `; did you mean ${near}?` : ''}`, token)
    }
    return { kind: 'field', name: token.text, read, token }
  }

  #value(): Token & { kind: 'name' | 'number' | 'text' } {
    const token = this.#peek()
    if (token?.kind !== 'name' && token?.kind !== 'number' && token?.kind !== 'text')
      throw this.#error('here a value is missing', token)
    this.#next++
    return token
  }

  #peek(ahead = 0): Token | undefined {
    return this.#tokens[this.#next + ahead]
  }

  #take<K extends Token['kind']>(kind: K): Token | null {
    const token = this.#peek()
    if (token?.kind !== kind) return null
    this.#next++
    return token
  }

  /** At a token, or at the end of the text. */
  #error(message: string, from: Token | undefined, to = from): FilterError {
    const end = this.#text.length
    return new FilterError(message, from?.from ?? end, to?.to ?? from?.to ?? end)
  }
}

function read(side: Side, run: RunView, nowMs: number): FieldValue {
  return side.kind === 'field' ? side.read(run, nowMs) : side.value
}

function literal(token: Token & { kind: 'name' | 'number' | 'text' }): FieldValue {
  if (token.kind === 'number') return token.number
  if (token.kind === 'text') return token.text
  const word = token.text.toLowerCase()
  if (word === 'none') return null
  return word === 'yes' || word === 'true' ? true : word === 'no' || word === 'false' ? false : token.text
}

function holds(left: FieldValue, operator: Operator, right: FieldValue): boolean {
  if (operator === '=') return equal(left, right)
  // Nothing is known of a run without the field, so it is not unlike a value either.
  if (operator === '!=') return left !== null && !equal(left, right)
  if (left === null || right === null) return false
  if (operator === '~') return words(left).some((word) => words(right).some((part) => word.includes(part)))
  if (typeof left !== 'number' || typeof right !== 'number') return false
  if (operator === '<') return left < right
  if (operator === '<=') return left <= right
  return operator === '>' ? left > right : left >= right
}

function equal(left: FieldValue, right: FieldValue): boolean {
  if (left === null || right === null) return left === right
  if (typeof left === 'number' && typeof right === 'number') return left === right
  return words(left).some((word) => words(right).includes(word))
}

/** In lower case; a list has several. */
function words(value: FieldValue): string[] {
  return (typeof value === 'object' && value !== null ? value : [value]).map((word) =>
    String(word).toLowerCase(),
  )
}

function wordFilter(text: string): Filter {
  const wanted = text.toLowerCase()
  return (run) =>
    [run.name, run.runId, run.config.method.name, run.state, run.config.group ?? '', ...run.config.tags].some(
      (word) => word.toLowerCase().includes(wanted),
    )
}

/** The known name with the fewest edits, if few. */
function nearest(word: string, known: readonly string[]): string | null {
  const wanted = word.toLowerCase()
  let best: { name: string; edits: number } | null = null
  for (const name of known) {
    const edits = distance(wanted, name.toLowerCase())
    if (edits <= Math.max(1, wanted.length / 3) && (!best || edits < best.edits)) best = { name, edits }
  }
  return best?.name ?? null
}

/** Edits between two words, where two letters that changed places count once (optimal string alignment). */
function distance(a: string, b: string): number {
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let least = Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, before[j - 2]! + 1)
      next.push(least)
    }
    before = row
    row = next
  }
  return row[b.length]!
}
