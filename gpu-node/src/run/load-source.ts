/**
 * One source of data, from its configuration to examples: read, turned into tokens, split, and accounted for. A mix is
 * several of them (load-data.ts).
 */
import type { DataCounts, RunConfig, SingleSource } from '@rankscope/protocol'
import type { ChatTemplate } from '../data/chat-template.ts'
import { type ExampleSet, requireExamples, type TokenExample, tokenizeRecords } from '../data/examples.ts'
import { heldBack } from '../data/holdout.ts'
import { readTextFile } from '../data/packing.ts'
import { type InstructionRecord, readRecords } from '../data/records.ts'
import { Tally } from '../data/tally.ts'
import { createTemplate, type Template } from '../data/templates.ts'
import { tokenizeOnce } from '../data/token-cache.ts'
import { readTokenFile } from '../data/token-file.ts'
import { type Scorer, scorers } from '../eval/scorers.ts'
import { taskRecords } from '../tasks/index.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'

export interface LoadDataOptions {
  /** Null only where all sources hold tokens. */
  tokenizer: TextTokenizer | null
  vocabularySize: number
  /** Evaluation records used of each source, from the start. */
  evaluationExamples: number
  /** Turns a configured path into one that may be read; throws PATH_FORBIDDEN. */
  resolvePath(path: string): string
  /** The model's own template; throws TOKENIZER_BROKEN where it has none. */
  chatTemplate(): ChatTemplate
  /** Where tokenised records are kept for the next run; null: nowhere. */
  cacheFolder: string | null
}

/** Records to be answered and scored. */
export interface AnswerGroup {
  /** The source's name. */
  readonly name: string
  readonly records: readonly InstructionRecord[]
  readonly template: Template
  readonly scorer: Scorer
}

export interface EvaluationData {
  /** For the loss; empty where every record was too long. */
  readonly examples: readonly TokenExample[]
  /** For accuracy by generation; empty where there are only tokens or text. */
  readonly answers: readonly AnswerGroup[]
}

export interface LoadedSource {
  readonly name: string
  readonly train: readonly TokenExample[]
  readonly validation: EvaluationData | null
  readonly test: EvaluationData | null
  readonly counts: readonly DataCounts[]
  /** What was cut, skipped or left out, in sentences. */
  readonly notes: readonly string[]
}

/** What a source needs of its surroundings in the configuration. */
export interface SourceSettings
  extends Pick<RunConfig['data'], 'template' | 'maxLength' | 'limit' | 'validationShare' | 'validationSeed'> {
  name: string | null
  source: SingleSource
}

/** Throws DATA_NOT_FOUND, DATA_BROKEN or DATA_EMPTY, naming file and line. */
export async function loadSource(settings: SourceSettings, options: LoadDataOptions): Promise<LoadedSource> {
  const { source } = settings
  switch (source.kind) {
    case 'task': {
      const draw = (split: 'train' | 'validation' | 'test', count: number) =>
        taskRecords(source.task, split, count, source.seed)
      const few = (count: number) => Math.min(count, options.evaluationExamples)
      const train = draw('train', Math.min(source.trainExamples, settings.limit ?? source.trainExamples))
      return fromRecords(settings, options, scorers.exact, {
        train: (tally) => given(train, tally),
        test: (tally) => given(draw('test', few(source.evaluationExamples)), tally),
        validation:
          source.validationExamples === 0
            ? null
            : (tally) => given(draw('validation', few(source.validationExamples)), tally),
      })
    }
    case 'records': {
      const { fields } = source
      const read = (path: string | null, limit: number | null) => {
        if (path === null) return null
        const file = options.resolvePath(path)
        return (tally: Tally) => readRecords(file, fields, limit ?? undefined, tally)
      }
      return fromRecords(settings, options, scorers[source.scorer], {
        train: read(source.path, settings.limit)!,
        validation: read(source.validationPath, options.evaluationExamples),
        test: read(source.evaluationPath, options.evaluationExamples),
      })
    }
    case 'tokens':
    case 'text':
      return fromExamples(settings, source, options)
    default:
      return source satisfies never
  }
}

type ReadParts = (tally: Tally) => AsyncIterable<readonly InstructionRecord[]>

async function fromRecords(
  settings: SourceSettings,
  options: LoadDataOptions,
  scorer: Scorer,
  splits: { train: ReadParts; validation: ReadParts | null; test: ReadParts | null },
): Promise<LoadedSource> {
  const { cacheFolder: folder } = options
  const tokenizer = options.tokenizer!
  const { maxLength } = settings
  const name = nameOf(settings)
  const template = createTemplate(settings.template, tokenizer, options.chatTemplate)
  const account = new Account(name)
  const evaluation = async (split: 'validation' | 'test', read: ReadParts | null) => {
    if (!read) return null
    const tally = new Tally()
    const records = await collect(read(tally))
    const set = tokenizeRecords(records, template, maxLength)
    account.add(split, tally, set, set.examples)
    return { examples: set.examples, answers: [{ name, records, template, scorer }] }
  }
  const tally = new Tally()
  let tallyOfPass: Tally | null = tally
  const parts = () => {
    // A second pass over the same records counts nothing.
    const own = tallyOfPass ?? new Tally()
    tallyOfPass = null
    return splits.train(own)
  }
  const set = requireExamples(
    await tokenizeOnce(parts, { template, tokenizer, maxLength, folder }),
    name,
    tally,
  )
  if (set.cacheProblem !== null) account.notes.push(set.cacheProblem)
  const own = await evaluation('validation', splits.validation)
  const { train, held } = account.split(settings, tally, set, own !== null)
  const used = held.slice(0, options.evaluationExamples)
  const validation = own ?? (used.length === 0 ? null : await heldData(used))
  return { name, train, validation, test: await evaluation('test', splits.test), ...account.result }

  async function heldData(indices: readonly number[]): Promise<EvaluationData> {
    const wanted = new Set(indices.map((index) => set.origins[index]!))
    const records = await pick(parts(), wanted)
    return {
      examples: indices.map((index) => set.examples[index]!),
      answers: [{ name, records, template, scorer }],
    }
  }
}

async function fromExamples(
  settings: SourceSettings,
  source: Extract<SingleSource, { kind: 'tokens' | 'text' }>,
  { tokenizer, vocabularySize, evaluationExamples, resolvePath }: LoadDataOptions,
): Promise<LoadedSource> {
  const { maxLength } = settings
  const name = nameOf(settings)
  const account = new Account(name)
  // The end token ends texts, too; only a padding token of its own tells that a row was padded.
  const padTokenId = tokenizer && tokenizer.padTokenId !== tokenizer.endTokenId ? tokenizer.padTokenId : null
  const read = async (path: string, limit: number | null, tally: Tally): Promise<ExampleSet> => {
    const file = resolvePath(path)
    if (source.kind === 'tokens')
      return readTokenFile(file, { vocabularySize, maxLength, limit: limit ?? undefined, padTokenId }, tally)
    const set = await readTextFile(file, tokenizer!, maxLength, tally, limit ?? undefined)
    if (set.leftOver > 0)
      account.notes.push(`${path}: ${set.leftOver} tokens at the end do not fill a block and were left out`)
    return set
  }
  const evaluation = async (split: 'validation' | 'test', path: string | null) => {
    if (path === null) return null
    const tally = new Tally()
    const set = await read(path, evaluationExamples, tally)
    account.add(split, tally, set, set.examples)
    return { examples: set.examples, answers: [] }
  }
  const tally = new Tally()
  const set = await read(source.path, settings.limit, tally)
  const own = await evaluation('validation', source.validationPath)
  const { train, held } = account.split(settings, tally, set, own !== null)
  const examples = held.slice(0, evaluationExamples).map((index) => set.examples[index]!)
  const validation = own ?? (examples.length === 0 ? null : { examples, answers: [] })
  return { name, train, validation, test: await evaluation('test', source.evaluationPath), ...account.result }
}

/** What became of the records of a source. */
class Account {
  readonly #source: string
  readonly #counts: DataCounts[] = []
  readonly notes: string[] = []

  constructor(source: string) {
    this.#source = source
  }

  get result(): Pick<LoadedSource, 'counts' | 'notes'> {
    return { counts: this.#counts, notes: this.notes }
  }

  add(
    split: Split,
    tally: Tally,
    set: ExampleSet,
    used: readonly TokenExample[],
    more: Record<string, number> = {},
  ) {
    const { truncated, skipped } = set
    const { read } = tally
    const title = split === 'train' ? this.#source : `${this.#source} (${split})`
    this.notes.push(...tally.notes.map((note) => `${title}: ${note}`))
    if (truncated > 0)
      this.notes.push(`${title}: ${truncated} of ${read} examples were cut to the maximum length`)
    for (const [reason, count] of Object.entries(skipped))
      this.notes.push(`${title}: ${count} of ${read} examples were dropped: ${reason}`)
    this.#push(split, read, { ...tally.skipped, ...skipped, ...more }, truncated, used)
  }

  #push(
    split: Split,
    read: number,
    skipped: Record<string, number>,
    truncated: number,
    used: readonly TokenExample[],
  ) {
    this.#counts.push({
      source: this.#source,
      split,
      read,
      used: read - sum(Object.values(skipped)),
      truncated,
      skipped,
      examples: used.length,
      perEpoch: split === 'train' ? used.length : 0,
      tokens: sum(used.map(({ inputIds }) => inputIds.length)),
    })
  }

  /** Accounts for the training set, of which a share is held back where there is no validation file. */
  split(
    { validationShare, validationSeed }: SourceSettings,
    tally: Tally,
    set: ExampleSet,
    hasValidation: boolean,
  ): { train: readonly TokenExample[]; held: readonly number[] } {
    const { examples, origins } = set
    const held = hasValidation ? [] : heldBack(examples, origins, validationShare, validationSeed)
    if (validationShare > 0 && hasValidation)
      this.notes.push(
        `${this.#source}: nothing is held back for validation: there is validation data of its own`,
      )
    else if (validationShare > 0 && held.length === 0)
      this.notes.push(`${this.#source}: nothing can be held back for validation: all prompts are the same`)
    if (held.length === 0) {
      this.add('train', tally, set, examples)
      return { train: examples, held }
    }
    const isHeld = new Set(held)
    const train = examples.filter((_, index) => !isHeld.has(index))
    const records = new Set(held.map((index) => origins[index])).size
    this.add('train', tally, set, train, { 'held back for validation': records })
    this.#push(
      'validation',
      records,
      {},
      0,
      held.map((index) => examples[index]!),
    )
    return { train, held }
  }
}

type Split = DataCounts['split']

function nameOf({ name, source }: SourceSettings): string {
  return name ?? (source.kind === 'task' ? `task ${source.task}` : source.path)
}

async function* given(records: readonly InstructionRecord[], tally: Tally) {
  tally.read += records.length
  yield records
}

async function collect(parts: AsyncIterable<readonly InstructionRecord[]>): Promise<InstructionRecord[]> {
  const all: InstructionRecord[] = []
  for await (const records of parts) all.push(...records)
  return all
}

/** The records of the given numbers, in order. */
async function pick(
  parts: AsyncIterable<readonly InstructionRecord[]>,
  numbers: ReadonlySet<number>,
): Promise<InstructionRecord[]> {
  const picked: InstructionRecord[] = []
  let number = 0
  for await (const records of parts) {
    for (const record of records) if (numbers.has(number++)) picked.push(record)
    if (picked.length === numbers.size) break
  }
  return picked
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
