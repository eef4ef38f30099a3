/**
 * A model's tokenizer, from the `tokenizer.json` of its folder, with the ids of the tokens that training and
 * generation need by name.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { RankscopeError } from '@rankscope/protocol'
import { z } from 'zod'
import { digestOf } from '../disk-cache.ts'
import { readJsonFile } from '../model/json-file.ts'
import { makeTokenFinder } from './added-tokens.ts'
import { makeDecoder } from './decoders.ts'
import { type AddedToken, parseDefinition, type TokenizerDefinition, tokenizerBroken } from './definition.ts'
import { type Framing, readFraming } from './framing.ts'
import { makeModel, type TokenModel } from './models.ts'
import { makeNormalizer } from './normalizers.ts'
import { makePreTokenizer } from './pre-tokenizers.ts'

/** Raised when the same files would give other ids. */
const version = 2

const namedToken = z.union([z.string(), z.object({ content: z.string() })]).nullish()
const configSchema = z.object({
  bos_token: namedToken,
  eos_token: namedToken,
  pad_token: namedToken,
  unk_token: namedToken,
  additional_special_tokens: z.array(namedToken).nullish(),
  add_bos_token: z.boolean().nullish(),
  add_eos_token: z.boolean().nullish(),
  added_tokens_decoder: z.record(z.string(), z.object({ content: z.string() })).nullish(),
})
type ConfigFile = z.output<typeof configSchema>

export class TextTokenizer {
  readonly #file: string
  readonly #vocabularySize: number
  readonly #framing: Framing
  readonly #find: ReturnType<typeof makeTokenFinder>
  readonly #cut: ReturnType<typeof makePreTokenizer>
  readonly #model: TokenModel
  readonly #join: ReturnType<typeof makeDecoder>
  readonly #special: ReadonlySet<number>
  readonly #textOf = new Map<number, string>()
  /** Text of the end-of-text token, which closes every training example. */
  readonly endToken: string
  readonly endTokenId: number
  /** Fills rows up to a common length; positions that hold it are never looked at nor trained on. */
  readonly padTokenId: number
  /** The same for tokenizers of the same definition, and for no others. */
  readonly fingerprint: string
  /** What its files say and is taken otherwise here, in sentences. */
  readonly notes: readonly string[]

  private constructor(
    definition: TokenizerDefinition,
    config: ConfigFile,
    vocabularySize: number,
    fingerprint: string,
    file: string,
  ) {
    this.#file = file
    this.#vocabularySize = vocabularySize
    this.fingerprint = fingerprint
    this.#model = makeModel(definition.model)
    const added = allAddedTokens(definition.addedTokens, config, this.#model.idOf)
    const normalize = makeNormalizer(definition.normalizer)
    this.#find = makeTokenFinder(added, normalize)
    this.#cut = makePreTokenizer(definition.preTokenizer)
    this.#join = makeDecoder(definition.decoder)
    this.#special = new Set(added.filter(({ special }) => special).map(({ id }) => id))
    for (const [token, id] of this.#model.idOf) this.#textOf.set(id, token)
    for (const { id, content } of added) this.#textOf.set(id, content)

    const ids = new Map([...this.#model.idOf, ...added.map(({ content, id }) => [content, id] as const)])
    const endToken = textOf(config.eos_token)
    const endTokenId = endToken === null ? undefined : ids.get(endToken)
    if (endToken === null || endTokenId === undefined)
      throw tokenizerBroken(
        `tokenizer_config.json: eos_token ${JSON.stringify(endToken)} is not in the vocabulary`,
        'Training examples end with it: name a token of tokenizer.json.',
      )
    this.endToken = endToken
    this.endTokenId = this.#inside(endTokenId, 'eos_token')
    const padToken = textOf(config.pad_token)
    const padTokenId = padToken === null ? undefined : ids.get(padToken)
    this.padTokenId = padTokenId !== undefined && padTokenId < vocabularySize ? padTokenId : this.endTokenId

    this.#framing = readFraming(definition.postProcessor, (token) => ids.get(token), this.endTokenId)
    for (const id of this.#framing.before) this.#inside(id, 'begins every text')
    if (
      this.#encodeText(endToken).join() !== String(endTokenId) ||
      this.#encodeText(`a${endToken}`).at(-1) !== endTokenId
    )
      throw tokenizerBroken(
        `tokenizer.json: the text ${JSON.stringify(endToken)} of eos_token does not become its token ${endTokenId}`,
        'Training examples end with it: save it as an added token that is special, and no single_word.',
      )
    this.notes = notesOf(config, this.#framing, ids, endToken)
  }

  /**
   * Reads `tokenizer.json` and `tokenizer_config.json` for a model that embeds `vocabularySize` tokens. Throws
   * TOKENIZER_BROKEN, naming the file.
   */
  static load(folder: string, vocabularySize: number): TextTokenizer {
    const file = join(folder, 'tokenizer.json')
    const configFile = join(folder, 'tokenizer_config.json')
    for (const needed of [file, configFile])
      if (!existsSync(needed))
        throw tokenizerBroken(
          `${needed}: the file is missing`,
          'Save the tokenizer in the fast format (tokenizer.json) beside the model.',
        )
    const definition = readJsonFile(file, 'TOKENIZER_BROKEN')
    const config = readJsonFile(configFile, 'TOKENIZER_BROKEN')
    try {
      return TextTokenizer.from(definition, config, vocabularySize, file)
    } catch (cause) {
      if (!(cause instanceof RankscopeError) || cause.message.includes(folder)) throw cause
      throw new RankscopeError(cause.code, `${folder}: ${cause.message}`, {
        cause,
        ...(cause.hint && { hint: cause.hint }),
      })
    }
  }

  /** From parsed contents of the two files. */
  static from(
    definition: unknown,
    config: unknown,
    vocabularySize: number,
    file = 'tokenizer.json',
  ): TextTokenizer {
    const parsed = configSchema.safeParse(config)
    if (!parsed.success) {
      const { path, message } = parsed.error.issues[0]!
      throw tokenizerBroken(
        `tokenizer_config.json: ${path.join('.')}: ${message}`,
        'Save the tokenizer again.',
      )
    }
    const fingerprint = digestOf([JSON.stringify([version, vocabularySize, definition, config])])
    return new TextTokenizer(parseDefinition(definition), parsed.data, vocabularySize, fingerprint, file)
  }

  /**
   * Ids of `text`, after the begin-of-text token where the tokenizer adds one; never closed by an end token that the
   * text does not hold. `begin: false`: without the begin-of-text token, for a text that spells it or goes on. Throws
   * TOKENIZER_BROKEN for a token that the model does not embed.
   */
  encode(text: string, { begin = true } = {}): number[] {
    const ids = this.#encodeText(text)
    for (const id of ids) if (id >= this.#vocabularySize) this.#inside(id, 'part of the text')
    return begin ? [...this.#framing.before, ...ids] : ids
  }

  /** The text of one token, special or not, as a reader should see it; a part of a character is U+FFFD. */
  tokenText(id: number): string {
    const token = this.#textOf.get(id)
    if (token === undefined) return ''
    if (this.#special.has(id)) return token
    // Within a text: at its beginning, decoders take a space away.
    return this.#join(['a', token]).slice(this.#join(['a']).length)
  }

  /** The text of `ids` without special tokens, to the letter: no space before punctuation is taken out. */
  decode(ids: ArrayLike<number>): string {
    const shown = Array.from(ids).filter((id) => !this.#special.has(id))
    const tokens = shown.map((id) => this.#textOf.get(id)).filter((token) => token !== undefined)
    return tokens.length === 0 ? '' : this.#join(tokens)
  }

  #encodeText(text: string): number[] {
    const ids: number[] = []
    for (const piece of this.#find(text)) {
      if (piece.id !== null) ids.push(piece.id)
      else if (piece.text !== '')
        for (const cut of this.#cut(piece)) for (const id of this.#model.encode(cut.text)) ids.push(id)
    }
    return ids
  }

  /** `id`, which must be one that the model embeds. */
  #inside(id: number, role: string): number {
    if (id < this.#vocabularySize) return id
    throw tokenizerBroken(
      `${this.#file}: token ${JSON.stringify(this.#textOf.get(id))} (${role}) has id ${id}, outside the model's vocabulary of ${this.#vocabularySize} (vocab_size in config.json)`,
      'Resize the embedding of the model to the tokenizer, or use the tokenizer that the model was trained with.',
    )
  }
}

/**
 * The added tokens of tokenizer.json and the special tokens that only tokenizer_config.json names. Special ones are
 * found in the raw text, whatever the file says about normalising them first: training text ends with the literal end
 * token, which must become its one id (METHODS 5.5).
 */
function allAddedTokens(
  added: readonly AddedToken[],
  config: ConfigFile,
  idOf: ReadonlyMap<string, number>,
): AddedToken[] {
  const known = new Map<string, AddedToken>()
  const owners = new Map<number, string>()
  const texts = new Map([...idOf].map(([token, id]) => [id, token]))
  for (const token of added) {
    const { id, content } = token
    const other = idOf.get(content) ?? known.get(content)?.id
    const owner = owners.get(id) ?? texts.get(id)
    const hint = 'Save the tokenizer again: its parts do not belong together.'
    if (other !== undefined && other !== id)
      throw tokenizerBroken(
        `tokenizer.json: added token ${JSON.stringify(content)} has id ${id}, elsewhere in the file ${other}`,
        hint,
      )
    if (owner !== undefined && owner !== content)
      throw tokenizerBroken(
        `tokenizer.json: id ${id} belongs to the added token ${JSON.stringify(content)} and to ${JSON.stringify(owner)}`,
        hint,
      )
    owners.set(id, content)
    known.set(content, token.special ? { ...token, normalized: false } : token)
  }
  for (const [id, { content }] of Object.entries(config.added_tokens_decoder ?? {})) {
    const found = known.get(content)?.id ?? idOf.get(content)
    if (found !== Number(id))
      throw tokenizerBroken(
        `tokenizer_config.json: added_tokens_decoder gives ${JSON.stringify(content)} the id ${id}, tokenizer.json ${found ?? 'has no such token'}`,
        'Save the tokenizer again, so that both files name the same tokens.',
      )
  }
  const named = [config.bos_token, config.eos_token, config.pad_token, config.unk_token]
  for (const token of [...named, ...(config.additional_special_tokens ?? [])]) {
    const content = textOf(token)
    const id = content === null ? undefined : idOf.get(content)
    if (content === null || content === '' || id === undefined || known.has(content)) continue
    known.set(content, {
      ...{ id, content, special: true, normalized: false },
      ...{ single_word: false, lstrip: false, rstrip: false },
    })
  }
  return [...known.values()]
}

/** Where the two files disagree, or ask for something that training does itself. */
function notesOf(
  config: ConfigFile,
  { before, after }: Framing,
  ids: ReadonlyMap<string, number>,
  endToken: string,
): string[] {
  const beginToken = textOf(config.bos_token)
  const begins = beginToken !== null && before.includes(ids.get(beginToken) ?? -1)
  const stated = config.add_bos_token ?? begins
  return [
    ...(after > 0
      ? [
          `tokenizer.json puts ${endToken} after every text; left out here: each training example ends with one, and a prompt stays open`,
        ]
      : []),
    ...(stated === begins
      ? []
      : [
          `tokenizer_config.json says add_bos_token ${stated}, the post-processor of tokenizer.json ${begins ? 'adds' : 'does not add'} ${beginToken ?? 'one'}: tokenizer.json is followed, as transformers 5 does`,
        ]),
  ]
}

/** A special token is stored as its text or as an object that holds it. */
function textOf(token: z.output<typeof namedToken>): string | null {
  return typeof token === 'string' ? token : (token?.content ?? null)
}
