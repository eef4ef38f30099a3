/** From the `data` part of a RunConfig to what training and evaluation consume. */
import type { RunConfig } from '@rankscope/protocol'
import {
  type ExampleSet,
  readTextFile,
  readTokenFile,
  requireExamples,
  type TokenExample,
  tokenizeRecords,
} from '../data/examples.ts'
import { type InstructionRecord, readRecords } from '../data/records.ts'
import { type Template, templates } from '../data/templates.ts'
import { tokenizeOnce } from '../data/token-cache.ts'
import { type Scorer, scorers } from '../eval/scorers.ts'
import { taskRecords } from '../tasks/index.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'

export interface EvaluationData {
  /** For the loss; empty where every record was too long. */
  readonly examples: readonly TokenExample[]
  /** For accuracy by generation; null where there are only tokens or text. */
  readonly answers: {
    readonly records: readonly InstructionRecord[]
    readonly template: Template
    readonly scorer: Scorer
  } | null
}

export interface LoadedData {
  readonly train: readonly TokenExample[]
  /** Null where the configuration names no evaluation data. */
  readonly evaluation: EvaluationData | null
  /** What was cut or left out, in sentences. */
  readonly notes: readonly string[]
}

export interface LoadDataOptions {
  tokenizer: TextTokenizer
  vocabularySize: number
  /** Evaluation records used, from the start. */
  evaluationExamples: number
  /** Turns a configured path into one that may be read; throws PATH_FORBIDDEN. */
  resolvePath(path: string): string
  /** Where tokenised records are kept for the next run; null: nowhere. */
  cacheFolder: string | null
}

/** Throws DATA_NOT_FOUND, DATA_BROKEN or DATA_EMPTY, naming file and line. */
export function loadData(data: RunConfig['data'], options: LoadDataOptions): LoadedData {
  const { source, maxLength } = data
  const limit = data.limit ?? undefined
  const { tokenizer, vocabularySize, evaluationExamples } = options
  const evaluationPath =
    'evaluationPath' in source && source.evaluationPath ? options.resolvePath(source.evaluationPath) : null
  switch (source.kind) {
    case 'task': {
      const train = taskRecords(source.task, 'train', source.trainExamples, source.seed).slice(0, limit)
      const wanted = Math.min(source.evaluationExamples, evaluationExamples)
      const test = taskRecords(source.task, 'test', wanted, source.seed)
      return fromRecords(
        data,
        train,
        { records: test, scorer: scorers.exact },
        `task ${source.task}`,
        options,
      )
    }
    case 'records': {
      const path = options.resolvePath(source.path)
      const train = readRecords(path, source.fields, limit)
      const records = evaluationPath ? readRecords(evaluationPath, source.fields, evaluationExamples) : null
      return fromRecords(data, train, records && { records, scorer: scorers[source.scorer] }, path, options)
    }
    case 'tokens': {
      const read = (file: string, count?: number) => readTokenFile(file, vocabularySize, maxLength, count)
      const train = read(options.resolvePath(source.path), limit)
      return withoutAnswers(train, evaluationPath ? read(evaluationPath, evaluationExamples) : null)
    }
    case 'text': {
      const train = readTextFile(options.resolvePath(source.path), tokenizer, maxLength)
      const test = evaluationPath ? readTextFile(evaluationPath, tokenizer, maxLength) : null
      const first = (set: ExampleSet, count?: number) => ({ ...set, examples: set.examples.slice(0, count) })
      return withoutAnswers(first(train, limit), test && first(test, evaluationExamples))
    }
  }
}

function fromRecords(
  data: RunConfig['data'],
  records: readonly InstructionRecord[],
  evaluation: { records: readonly InstructionRecord[]; scorer: Scorer } | null,
  subject: string,
  { tokenizer, cacheFolder }: LoadDataOptions,
): LoadedData {
  const template = templates[data.template]
  const tokenized = tokenizeOnce(records, template, tokenizer, data.maxLength, cacheFolder)
  const train = requireExamples(tokenized, subject)
  return {
    train: train.examples,
    evaluation: evaluation && {
      examples: tokenizeRecords(evaluation.records, template, tokenizer, data.maxLength).examples,
      answers: { ...evaluation, template },
    },
    notes: [...notes(train), ...(tokenized.cacheProblem === null ? [] : [tokenized.cacheProblem])],
  }
}

function withoutAnswers(train: ExampleSet, evaluation: ExampleSet | null): LoadedData {
  return {
    train: train.examples,
    evaluation: evaluation && { examples: evaluation.examples, answers: null },
    notes: notes(train),
  }
}

function notes({ examples, truncated, dropped }: ExampleSet): string[] {
  const total = examples.length + dropped
  return [
    ...(truncated > 0 ? [`${truncated} of ${total} examples were cut to the maximum length`] : []),
    ...(dropped > 0 ? [`${dropped} of ${total} examples were dropped: no label was left to train on`] : []),
  ]
}
