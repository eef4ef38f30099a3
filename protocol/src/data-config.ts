/**
 * What a run trains on: one source or a mix of several, how their records become text, and in which order they come.
 * Unknown keys are refused, never ignored.
 */
import { z } from 'zod'
import { field } from './field.ts'
import { nameLengths, nameSchema, pathSchema } from './name.ts'

export const taskNames = ['arithmetic', 'programs', 'choice', 'mix'] as const
export type TaskName = (typeof taskNames)[number]

const key = nameSchema(nameLengths.key)
const fieldMapping = z.strictObject({
  instruction: key,
  output: key,
  /** Material that the instruction is about. */
  input: key.nullable().default(null),
  system: key.nullable().default(null),
  /** Earlier turns: pairs of question and answer, or turns. */
  history: key.nullable().default(null),
})

const templateNames = ['alpaca', 'plain', 'chat'] as const

/** Of every source that reads files. */
const evaluationPaths = (format: string) => ({
  evaluationPath: field(pathSchema().nullable().default(null), {
    title: 'Test file',
    description: `${format} for the final score.`,
  }),
  validationPath: field(pathSchema().nullable().default(null), {
    title: 'Validation file',
    description: `${format} for evaluation during training; empty means the validation share, or the test file.`,
    advanced: true,
  }),
})

const recordsFormat = 'JSON, JSONL, CSV or Parquet'

const singleSources = [
  z.strictObject({
    kind: z.literal('task'),
    task: field(z.enum(taskNames), {
      title: 'Task',
      description: 'A task that Rankscope generates itself, by seed.',
    }),
    seed: field(z.int().min(0).default(0), {
      title: 'Task seed',
      description: 'Seed of the generated records.',
    }),
    trainExamples: field(z.int().min(1).max(1_000_000).default(4096), {
      title: 'Training examples',
      description: 'Records in the training split.',
      unit: 'examples',
    }),
    evaluationExamples: field(z.int().min(1).max(100_000).default(128), {
      title: 'Test examples',
      description: 'Records in the test split.',
      unit: 'examples',
    }),
    validationExamples: field(z.int().min(0).max(100_000).default(0), {
      title: 'Validation examples',
      description: 'Records in the validation split, for evaluation during training; 0 means the test split.',
      unit: 'examples',
      advanced: true,
    }),
  }),
  z.strictObject({
    kind: z.literal('records'),
    path: field(pathSchema('name a file'), {
      title: 'Training file',
      description: `${recordsFormat} of records or conversations, inside a folder the node allows.`,
    }),
    ...evaluationPaths('Records'),
    fields: field(fieldMapping.nullable().default(null), {
      title: 'Fields',
      description:
        'Names of the instruction and output fields, and of input, system and history where there are; empty means recognise the usual ones.',
    }),
    scorer: field(z.enum(['exact', 'gsm8k', 'math', 'commonsense']).default('exact'), {
      title: 'Scorer',
      description: 'How a completion is compared with the reference answer.',
    }),
  }),
  z.strictObject({
    kind: z.literal('tokens'),
    path: field(pathSchema('name a file'), {
      title: 'Token file',
      description:
        'Rows of input_ids, labels and, where padded, attention_mask, in file order; label -100 is not trained on.',
    }),
    ...evaluationPaths('Rows'),
  }),
  z.strictObject({
    kind: z.literal('text'),
    path: field(pathSchema('name a file'), {
      title: 'Text file',
      description:
        'Plain text, one document per blank-line-separated paragraph, packed into blocks of maxLength tokens.',
    }),
    ...evaluationPaths('Text'),
  }),
] as const

const singleSourceSchema = z.discriminatedUnion('kind', [...singleSources])

const mixSourceSchema = z.strictObject({
  name: field(nameSchema(nameLengths.key).nullable().default(null), {
    title: 'Name',
    description: 'What the source is called in counts and scores; empty means its file or task.',
  }),
  source: singleSourceSchema,
  weight: field(z.number().positive().max(1e9).nullable().default(null), {
    title: 'Weight',
    description:
      'Its part of the mix, relative to the other weights; empty for all means in proportion to their sizes.',
  }),
  template: field(z.enum(templateNames).nullable().default(null), {
    title: 'Prompt template',
    description: 'Empty means that of the mix.',
  }),
  limit: field(z.int().min(1).nullable().default(null), {
    title: 'Use only the first',
    description: 'Records of this source; empty means all.',
    unit: 'examples',
  }),
})
export type MixSource = z.output<typeof mixSourceSchema>

export const dataSourceSchema = z.discriminatedUnion('kind', [
  ...singleSources,
  // Of a job that trains nothing.
  z.strictObject({ kind: z.literal('none') }).meta({ hidden: true }),
  z.strictObject({
    kind: z.literal('mix'),
    sources: field(z.array(mixSourceSchema).min(1).max(64), {
      title: 'Sources',
      description: 'Each with its own file or task, fields, template, limit and weight.',
    }),
    examples: field(z.int().min(1).max(100_000_000).nullable().default(null), {
      title: 'Examples per epoch',
      description:
        'Size of the mix; empty means as many as its sources have. With weights, small sources are repeated and of large ones a part is drawn by seed.',
      unit: 'examples',
    }),
  }),
])
export type DataSource = z.infer<typeof dataSourceSchema>
/** A source that is no mix. */
export type SingleSource = z.infer<typeof singleSourceSchema>

export const dataSchema = z.strictObject({
  source: dataSourceSchema,
  template: field(z.enum(templateNames).default('alpaca'), {
    title: 'Prompt template',
    description:
      'alpaca: the instruction template of the paper; plain: the instruction and a newline; chat: the model’s own chat template.',
  }),
  maxLength: field(z.int().min(8).max(131_072).default(512), {
    title: 'Maximum length',
    description: 'Longer examples are truncated.',
    unit: 'tokens',
  }),
  limit: field(z.int().min(1).nullable().default(null), {
    title: 'Use only the first',
    description: 'Take the first so many records; empty means all.',
    unit: 'examples',
    advanced: true,
  }),
  validationShare: field(z.number().min(0).max(0.5).default(0), {
    title: 'Validation share',
    description:
      'Share of the training data that is held back for evaluation during training where there is no validation file; equal prompts stay on one side.',
    advanced: true,
  }),
  validationSeed: field(z.int().min(0).default(0), {
    title: 'Validation seed',
    description:
      'Decides which examples are held back; independent of the run’s seed, so that runs of a comparison share them.',
    advanced: true,
  }),
  packing: field(z.boolean().default(false), {
    title: 'Packing',
    description:
      'Put short examples together into rows of the maximum length. Faster; the batch size then counts rows, and an example sees those before it in its row. Text is always packed.',
    advanced: true,
  }),
  shuffle: field(z.boolean().default(true), {
    title: 'Shuffle',
    description: 'Shuffle once by seed before sharding; off keeps file order.',
  }),
  reshuffle: field(z.boolean().default(false), {
    title: 'Reshuffle each epoch',
    description: 'Draw a new order at each epoch; the paper’s code keeps one.',
    advanced: true,
  }),
  assign: field(z.enum(['interleave', 'block']).default('interleave'), {
    title: 'Sharding',
    description: 'interleave: device k takes records k, k+K, …; block: contiguous parts.',
    advanced: true,
  }),
  sampling: field(z.enum(['distributed', 'sequential']).default('distributed'), {
    title: 'Sampling',
    description:
      'distributed: per-epoch shards padded by repetition, incomplete batches dropped; sequential: an endless stream that wraps around.',
    advanced: true,
  }),
  remainder: field(z.enum(['drop', 'step', 'leak']).default('drop'), {
    title: 'Left-over micro-batches',
    description:
      'At an epoch’s end: drop them, step with the correct divisor, or leak their gradients into the next step as the released code does.',
    advanced: true,
  }),
})
