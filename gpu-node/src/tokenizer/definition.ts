/**
 * What of a `tokenizer.json` is computed here: every node by its type, every key by its values. Whatever is not listed
 * is refused by name, since ids that differ from those of the reference library (Rust `tokenizers`) train a model on
 * another text without a word.
 *
 * `Sequence` nodes are laid flat: a sequence of sequences is one sequence.
 */
import { RankscopeError } from '@rankscope/protocol'
import { z } from 'zod'

const pattern = z.union([
  z.strictObject({ String: z.string().min(1) }),
  z.strictObject({ Regex: z.string() }),
])
const behavior = z.enum(['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'])
const offsetsOnly = {
  add_prefix_space: z.boolean().optional(),
  trim_offsets: z.boolean().optional(),
  use_regex: z.boolean().optional(),
}
const metaspace = z
  .strictObject({
    type: z.literal('Metaspace'),
    replacement: z.string().refine((text) => [...text].length === 1, 'one character is wanted'),
    prepend_scheme: z.enum(['always', 'first', 'never']).default('always'),
    split: z.boolean().default(true),
    // The older spelling of prepend_scheme "never".
    add_prefix_space: z.boolean().optional(),
    str_rep: z.string().optional(),
  })
  .refine(({ str_rep, replacement }) => str_rep === undefined || str_rep === replacement, {
    path: ['str_rep'],
  })
const marker = z.tuple([z.string(), z.int().min(0)])
const templatePiece = z.union([
  z.strictObject({ SpecialToken: z.strictObject({ id: z.string(), type_id: z.int() }) }),
  z.strictObject({ Sequence: z.strictObject({ id: z.enum(['A', 'B']), type_id: z.int() }) }),
])
const plain = <T extends string>(type: T) => z.strictObject({ type: z.literal(type) })

const normalizerSchema = z.discriminatedUnion('type', [
  plain('NFC'),
  plain('NFD'),
  plain('NFKC'),
  plain('NFKD'),
  plain('Lowercase'),
  plain('StripAccents'),
  z.strictObject({ type: z.literal('Strip'), strip_left: z.boolean(), strip_right: z.boolean() }),
  z.strictObject({ type: z.literal('Prepend'), prepend: z.string() }),
  z.strictObject({ type: z.literal('Replace'), pattern, content: z.string() }),
])
const preTokenizerSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('ByteLevel'),
    ...offsetsOnly,
    add_prefix_space: z.boolean().default(true),
    use_regex: z.boolean().default(true),
  }),
  metaspace,
  z.strictObject({ type: z.literal('Split'), pattern, behavior, invert: z.boolean() }),
  z.strictObject({ type: z.literal('Digits'), individual_digits: z.boolean().default(false) }),
  z.strictObject({ type: z.literal('Punctuation'), behavior: behavior.default('Isolated') }),
  plain('Whitespace'),
  plain('WhitespaceSplit'),
])
const postProcessorSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('ByteLevel'), ...offsetsOnly }),
  z.strictObject({ type: z.literal('BertProcessing'), sep: marker, cls: marker }),
  z.strictObject({
    type: z.literal('RobertaProcessing'),
    sep: marker,
    cls: marker,
    trim_offsets: z.boolean().optional(),
    add_prefix_space: z.boolean().optional(),
  }),
  z.strictObject({
    type: z.literal('TemplateProcessing'),
    single: z.array(templatePiece),
    pair: z.array(templatePiece).optional(),
    special_tokens: z.record(
      z.string(),
      z.strictObject({ id: z.string(), ids: z.array(z.int().min(0)), tokens: z.array(z.string()) }),
    ),
  }),
])
const decoderSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('ByteLevel'), ...offsetsOnly }),
  metaspace,
  z.strictObject({ type: z.literal('Replace'), pattern, content: z.string() }),
  plain('ByteFallback'),
  plain('Fuse'),
  z.strictObject({
    type: z.literal('Strip'),
    content: z.string(),
    start: z.int().min(0),
    stop: z.int().min(0),
  }),
  z.strictObject({ type: z.literal('BPEDecoder'), suffix: z.string().default('</w>') }),
])

/** Vocabulary and merges are checked by `models.ts`: they are long, and what is wrong with them is of another kind. */
const modelSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('BPE'),
    dropout: z.union([z.null(), z.literal(0)]).optional(),
    unk_token: z.string().nullish(),
    continuing_subword_prefix: z.union([z.null(), z.literal('')]).optional(),
    end_of_word_suffix: z.union([z.null(), z.literal('')]).optional(),
    fuse_unk: z.boolean().default(false),
    byte_fallback: z.boolean().default(false),
    ignore_merges: z.boolean().default(false),
    vocab: z.unknown(),
    merges: z.unknown(),
  }),
  z.strictObject({
    type: z.literal('Unigram'),
    unk_id: z.int().min(0),
    byte_fallback: z.boolean().default(false),
    vocab: z.unknown(),
  }),
  z.strictObject({ type: z.literal('WordLevel'), unk_token: z.string(), vocab: z.unknown() }),
])

const addedTokenSchema = z.strictObject({
  id: z.int().min(0),
  content: z.string().min(1),
  single_word: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  normalized: z.boolean().optional(),
  special: z.boolean().default(false),
})

const fileSchema = z.strictObject({
  version: z.string().optional(),
  // Both cut and fill batches; every caller of the reference library (transformers) sets them anew per call.
  truncation: z.unknown().optional(),
  padding: z.unknown().optional(),
  added_tokens: z.array(addedTokenSchema).nullish(),
  normalizer: z.unknown().optional(),
  pre_tokenizer: z.unknown().optional(),
  post_processor: z.unknown().optional(),
  decoder: z.unknown().optional(),
  model: z.unknown().optional(),
})

export type Pattern = z.output<typeof pattern>
export type SplitBehavior = z.output<typeof behavior>
export type NormalizerNode = z.output<typeof normalizerSchema>
export type PreTokenizerNode = z.output<typeof preTokenizerSchema>
export type PostProcessorNode = z.output<typeof postProcessorSchema>
export type DecoderNode = z.output<typeof decoderSchema>
export type ModelNode = z.output<typeof modelSchema>
export type AddedToken = z.output<typeof addedTokenSchema>

export interface TokenizerDefinition {
  readonly addedTokens: readonly AddedToken[]
  readonly normalizer: readonly NormalizerNode[]
  readonly preTokenizer: readonly PreTokenizerNode[]
  readonly postProcessor: readonly PostProcessorNode[]
  /** Null: tokens are put together with spaces between them. */
  readonly decoder: readonly DecoderNode[] | null
  readonly model: ModelNode
}

/** Throws TOKENIZER_BROKEN for whatever is not computed here, naming the feature and its place in the file. */
export function parseDefinition(raw: unknown): TokenizerDefinition {
  const file = checked(fileSchema, raw, '')
  const flat = <T>(schema: z.ZodType<T>, node: unknown, place: string, list: string) =>
    flatten(schema, node, place, list)
  const normalizer = flat(normalizerSchema, file.normalizer, 'normalizer', 'normalizers')
  const preTokenizer = flat(preTokenizerSchema, file.pre_tokenizer, 'pre_tokenizer', 'pretokenizers')
  refuseMovedStart(normalizer, preTokenizer)
  return {
    addedTokens: file.added_tokens ?? [],
    normalizer,
    preTokenizer,
    postProcessor: flat(postProcessorSchema, file.post_processor, 'post_processor', 'processors'),
    decoder:
      (file.decoder ?? null) === null ? null : flat(decoderSchema, file.decoder, 'decoder', 'decoders'),
    model: checked(modelSchema, withType(file.model), 'model'),
  }
}

export function tokenizerBroken(what: string, hint: string, cause?: unknown): RankscopeError {
  return new RankscopeError('TOKENIZER_BROKEN', what, { hint, ...(cause === undefined ? {} : { cause }) })
}

/**
 * Metaspace's scheme `first` asks where a piece stood in the raw text. What takes text away from its start or puts some
 * there makes the reference library see several first pieces, or none.
 */
function refuseMovedStart(
  normalizer: readonly NormalizerNode[],
  preTokenizer: readonly PreTokenizerNode[],
): void {
  const first = preTokenizer.findIndex((node) => node.type === 'Metaspace' && node.prepend_scheme === 'first')
  if (first < 0) return
  // What replaces one character by others leaves the start where it was.
  const inPlace = (node: NormalizerNode) =>
    node.type === 'Replace' &&
    'String' in node.pattern &&
    [...node.pattern.String].length === 1 &&
    node.content !== ''
  const moves = ['Strip', 'Prepend', 'StripAccents', 'Replace']
  const mover =
    normalizer.find((node) => moves.includes(node.type) && !inPlace(node)) ??
    preTokenizer.slice(0, first).find(({ type }) => type === 'ByteLevel' || type === 'Metaspace')
  if (mover)
    throw tokenizerBroken(
      `tokenizer.json: pre_tokenizer Metaspace with prepend_scheme "first" after ${mover.type} is not supported here`,
      'Tokenise the data beforehand (a source of kind tokens).',
    )
}

function flatten<T>(schema: z.ZodType<T>, node: unknown, place: string, list: string): T[] {
  if (node === null || node === undefined) return []
  if ((node as { type?: unknown }).type !== 'Sequence') return [checked(schema, node, place)]
  const sequence = z.strictObject({ type: z.literal('Sequence'), [list]: z.array(z.unknown()) })
  const inner = checked(sequence, node, place)[list] as unknown[]
  return inner.flatMap((one, index) => flatten(schema, one, `${place}.${list}[${index}]`, list))
}

/** Files of before version 0.10 of the library do not name the kind of model. */
function withType(model: unknown): unknown {
  const old = typeof model === 'object' && model !== null && !('type' in model) && 'merges' in model
  return old ? { type: 'BPE', ...model } : model
}

/** The parsed node, or an error that says which value at which place is not computed here. */
function checked<T>(schema: z.ZodType<T>, raw: unknown, place: string): T {
  const result = schema.safeParse(raw)
  if (result.success) return result.data
  const issue = result.error.issues[0]!
  const keys = issue.code === 'unrecognized_keys' ? [issue.keys[0]!] : []
  const path = [...issue.path, ...keys]
  const value = path.reduce<unknown>((node, key) => (node as Record<PropertyKey, unknown>)?.[key], raw)
  const where = path.reduce<string>(
    (text, key) => (typeof key === 'number' ? `${text}[${key}]` : `${text}${text && '.'}${String(key)}`),
    place,
  )
  throw tokenizerBroken(
    `tokenizer.json: ${where || 'its content'} is ${shown(value)}, which is not supported here`,
    'Ids would differ from those that the model was made with. Tokenise the data beforehand (a source of kind tokens), or save the tokenizer without this feature.',
  )
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'absent'
  return text.length > 120 ? `${text.slice(0, 120)}…` : text
}
