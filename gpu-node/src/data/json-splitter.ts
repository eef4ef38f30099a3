/**
 * Cuts a stream of text into JSON values without holding more than one: values one after another (on lines, over several
 * lines, several on one), or the elements of one array.
 */
import { RankscopeError } from '@rankscope/protocol'
import { longestRecord, tooLong } from './read-text.ts'

export interface RawValue {
  readonly text: string
  /** Number of the line in which it begins. */
  readonly line: number
  /** Where it has been parsed already. */
  readonly value?: unknown
}

/** What changes the state inside and outside of strings. */
const inside = /["\\\n]/g
const outside = /["{}[\],\n]/g

export class JsonSplitter {
  readonly #file: string
  readonly #form: 'values' | 'array'
  /** Text since the last value, and the line in which it begins. */
  #held = ''
  #heldLine: number
  #line: number
  #depth = 0
  #inString = false
  /** The text before ended with the backslash of an escape. */
  #escaped = false
  /** Of an array: before its bracket, between its brackets, after them. */
  #place: 'before' | 'within' | 'after'
  #found = 0

  constructor(file: string, form: 'values' | 'array', line = 1) {
    this.#file = file
    this.#form = form
    this.#line = line
    this.#heldLine = line
    this.#place = form === 'array' ? 'before' : 'within'
  }

  /** The values that `text` completes, added to `values`. Throws DATA_BROKEN, naming the line. */
  push(text: string, values: RawValue[] = []): RawValue[] {
    const before = values.length
    let start = 0
    let at = this.#escaped ? 1 : 0
    if (text !== '') this.#escaped = false
    const take = (end: number, next = end): RawValue => {
      const whole = this.#held + text.slice(start, end)
      const value = whole.trimStart()
      const line = this.#heldLine + newlines(whole, whole.length - value.length)
      this.#held = ''
      this.#heldLine = this.#line
      start = next
      return { text: value.trimEnd(), line }
    }
    for (;;) {
      const pattern = this.#inString ? inside : outside
      pattern.lastIndex = at
      const match = pattern.exec(text)
      if (!match) break
      const [character] = match
      const position = match.index
      at = position + 1
      if (this.#inString) {
        if (character === '\n') throw this.#broken(this.#line, 'a string is not closed in its line')
        if (character === '"') this.#inString = false
        else if (at === text.length) this.#escaped = true
        else at++
      } else if (character === '\n') this.#line++
      else if (this.#place === 'after')
        throw this.#broken(this.#line, 'something follows the end of the array')
      else if (character === '"') this.#inString = true
      else if (this.#place === 'before') {
        if (character !== '[' || take(position, at).text !== '')
          throw this.#broken(this.#line, 'the array does not begin with [')
        this.#place = 'within'
      } else if (character === '{' || character === '[') this.#depth++
      else if (this.#depth === 0 && this.#form === 'array') {
        if (character === '}') throw this.#broken(this.#line, 'a bracket } closes nothing')
        const element = take(position, at)
        if (element.text !== '') values.push(element)
        else if (character === ',' || this.#found + values.length - before > 0)
          throw this.#broken(this.#line, 'a comma stands where a value should')
        if (character === ']') this.#place = 'after'
      } else if (character === ',') {
        if (this.#depth === 0) throw this.#broken(this.#line, 'a comma stands between or after values')
      } else {
        this.#depth--
        if (this.#depth < 0) throw this.#broken(this.#line, `a bracket ${character} closes nothing`)
        if (this.#depth === 0 && this.#form === 'values') values.push(take(at))
      }
    }
    const rest = text.slice(start)
    if (this.#held === '' && rest.trim() === '') this.#heldLine = this.#line
    else this.#held += rest
    if (this.#held.length > longestRecord) throw tooLong(`${this.#file}:${this.#heldLine}`, 'value')
    this.#found += values.length - before
    return values
  }

  /** Throws DATA_BROKEN where the text ends in the middle of a value or an array. */
  end(): void {
    if (this.#place === 'within' && this.#form === 'array')
      throw this.#broken(this.#line, 'the file ends before the array does')
    const rest = this.#held.trimStart()
    if (rest === '') return
    const line = this.#heldLine + newlines(this.#held, this.#held.length - rest.length)
    throw this.#broken(
      line,
      this.#place === 'after'
        ? 'something follows the end of the array'
        : 'the value that begins here does not end',
    )
  }

  #broken(line: number, what: string): RankscopeError {
    return new RankscopeError('DATA_BROKEN', `${this.#file}:${line}: the line is not valid JSON: ${what}`, {
      hint: 'Each line of a JSONL file is one complete JSON object; a JSON file is one array of them.',
    })
  }
}

function newlines(text: string, end: number): number {
  let count = 0
  for (let at = text.indexOf('\n'); at !== -1 && at < end; at = text.indexOf('\n', at + 1)) count++
  return count
}
