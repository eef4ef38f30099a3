/**
 * Token examples: what training consumes. Made from instruction records and a template, read from pre-tokenised files, or
 * packed from plain text.
 *
 * A label stands at the position of its own token (as in Hugging Face's data); it is the target of the position
 * before. Label -100 is not trained on.
 */
import { RankscopeError } from '@rankscope/protocol'
import { ChatTemplateRefusal } from './chat-template.ts'
import type { InstructionRecord } from './records.ts'
import { mostReasons, type Tally } from './tally.ts'
import type { Piece, Template } from './templates.ts'

export const ignoredLabel = -100

export interface TokenExample {
  readonly inputIds: Int32Array
  /** Same length as inputIds. */
  readonly labels: Int32Array
}

export interface ExampleSet {
  readonly examples: TokenExample[]
  /** Of each example: the number of its record among those that were given, from 0; ascending. */
  readonly origins: number[]
  /** Records of which something was cut off at the maximum length. */
  readonly truncated: number
  /** Records that gave no example, by reason. */
  readonly skipped: Readonly<Record<string, number>>
}

const noLabel = 'no label was left to train on within the maximum length'

/** Collects examples as they come, cut to `maxLength`; what has no target is left out: the first token is never predicted. */
export class ExampleCollector {
  readonly #maxLength: number
  readonly #examples: TokenExample[] = []
  readonly #origins: number[] = []
  #truncated = 0
  readonly #skipped: Record<string, number> = {}
  #records = 0

  constructor(maxLength: number) {
    this.#maxLength = maxLength
  }

  /** The examples of the next record. */
  add(examples: readonly TokenExample[]): void {
    const origin = this.#records++
    const kept = examples
      .map(({ inputIds, labels }) => ({
        inputIds: inputIds.slice(0, this.#maxLength),
        labels: labels.slice(0, this.#maxLength),
      }))
      .filter(({ labels }) => labels.subarray(1).some((label) => label !== ignoredLabel))
    if (kept.length === 0) this.#count(noLabel)
    else if (examples.some(({ inputIds }) => inputIds.length > this.#maxLength)) this.#truncated++
    for (const example of kept) {
      this.#examples.push(example)
      this.#origins.push(origin)
    }
  }

  /** The next record gives nothing. */
  skip(reason: string): void {
    this.#records++
    this.#count(reason)
  }

  #count(what: string): void {
    const known = what in this.#skipped || Object.keys(this.#skipped).length < mostReasons
    const reason = known ? what : 'other reasons'
    this.#skipped[reason] = (this.#skipped[reason] ?? 0) + 1
  }

  get set(): ExampleSet {
    return {
      examples: this.#examples,
      origins: this.#origins,
      truncated: this.#truncated,
      skipped: this.#skipped,
    }
  }
}

/** All records, cut to `maxLength`, which may cost the end token (METHODS §1 row 26). */
export function tokenizeRecords(
  records: readonly InstructionRecord[],
  template: Template,
  maxLength: number,
): ExampleSet {
  const collector = new ExampleCollector(maxLength)
  for (const record of records) addRecord(collector, record, template, maxLength)
  return collector.set
}

export function addRecord(
  collector: ExampleCollector,
  record: InstructionRecord,
  template: Template,
  maxLength: number,
): void {
  try {
    collector.add(template.render(record).map((pieces) => tokenizePieces(pieces, template, maxLength)))
  } catch (error) {
    if (!(error instanceof ChatTemplateRefusal)) throw error
    collector.skip(`the model's chat template refuses it: ${error.message}`)
  }
}

/**
 * All pieces as one text, tokenised together; the tokens of a piece that is trained on are those after the tokens of all
 * text before it, up to those of the text through it.
 */
function tokenizePieces(pieces: readonly Piece[], template: Template, maxLength: number): TokenExample {
  const inputIds = Int32Array.from(template.encode(pieces.map(({ text }) => text).join('')))
  const labels = new Int32Array(inputIds.length).fill(ignoredLabel)
  let text = ''
  let start = 0
  for (const [index, piece] of pieces.entries()) {
    text += piece.text
    const isLast = index === pieces.length - 1
    const end = isLast ? inputIds.length : template.encode(text).length
    if (piece.trained) labels.set(inputIds.subarray(start, end), start)
    start = Math.min(end, inputIds.length)
    // What lies behind is cut off anyway.
    if (start >= maxLength) break
  }
  return { inputIds, labels }
}

/** Throws DATA_EMPTY where nothing is left to train on. `subject` names the source. */
export function requireExamples<Set extends ExampleSet>(set: Set, subject: string, tally?: Tally): Set {
  if (set.examples.length > 0) return set
  const reasons = Object.entries({ ...tally?.skipped, ...set.skipped }).map(
    ([reason, count]) => `${count}: ${reason}`,
  )
  throw new RankscopeError(
    'DATA_EMPTY',
    `${subject}: no example has a label to train on${reasons.length > 0 ? ` (${reasons.join('; ')})` : ''}`,
    {
      hint: 'Raise the maximum length where a prompt that fills it leaves no room for the answer.',
    },
  )
}
