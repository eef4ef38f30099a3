/**
 * A model's tokenizer, from the `tokenizer.json` of its folder, with the ids of the tokens that training and
 * generation need by name.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { RankscopeError } from '@rankscope/protocol'
import type { z } from 'zod'
import { digestOf } from '../disk-cache.ts'
import { readJsonFile } from '../model/json-file.ts'
import { makeTokenFinder } from './added-tokens.ts'
import { allAddedTokens } from './all-added-tokens.ts'
import { makeDecoder } from './decoders.ts'
import { parseDefinition, type TokenizerDefinition, tokenizerBroken } from './definition.ts'
import { type Framing, readFraming } from './framing.ts'
import { makeModel, type TokenModel } from './models.ts'
import { makeNormalizer } from './normalizers.ts'
import { makePreTokenizer } from './pre-tokenizers.ts'
import {
  addsPrefixSpace,
  type ConfigFile,
  configSchema,
  notesOf,
  specialTokensMapSchema,
  textOf,
  withSpecialTokensMap,
} from './tokenizer-config.ts'

/** Raised when the same files would give other ids. */
const version = 3

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
    { config, notes }: { config: ConfigFile; notes: readonly string[] },
    vocabularySize: number,
    fingerprint: string,
    file: string,
  ) {
    this.#file = file
    this.#vocabularySize = vocabularySize
    this.fingerprint = fingerprint
    this.#model = makeModel(definition.model)
    const normalize = makeNormalizer(definition.normalizer)
    const all = allAddedTokens(definition.addedTokens, config, this.#model.idOf, normalize, vocabularySize)
    const added = all.tokens
    this.#find = makeTokenFinder(added, normalize)
    this.#cut = makePreTokenizer(definition.preTokenizer)
    this.#join = makeDecoder(definition.decoder)
    this.#special = new Set(added.filter(({ special }) => special).map(({ id }) => id))
    for (const [token, id] of this.#model.idOf) this.#textOf.set(id, token)
    // A normalised token is read back as its normalised text, as the reference library does.
    for (const { id, content, normalized } of added)
      this.#textOf.set(id, normalized ? normalize(content) : content)

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
    const prefixSpace = addsPrefixSpace(definition.preTokenizer)
    this.notes = [
      ...notes,
      ...all.notes,
      ...notesOf(config, { ...this.#framing, prefixSpace }, ids, endToken),
    ]
  }

  /**
   * Reads `tokenizer.json`, `tokenizer_config.json` and, where there is one, `special_tokens_map.json` for a model that embeds `vocabularySize` tokens. Throws
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
    const mapFile = join(folder, 'special_tokens_map.json')
    const map = existsSync(mapFile) ? readJsonFile(mapFile, 'TOKENIZER_BROKEN') : {}
    try {
      return TextTokenizer.from(definition, config, vocabularySize, { file, map })
    } catch (cause) {
      if (!(cause instanceof RankscopeError) || cause.message.includes(folder)) throw cause
      throw new RankscopeError(cause.code, `${folder}: ${cause.message}`, {
        cause,
        ...(cause.hint && { hint: cause.hint }),
      })
    }
  }

  /** From parsed contents of the files; `map` is special_tokens_map.json. */
  static from(
    definition: unknown,
    config: unknown,
    vocabularySize: number,
    { file = 'tokenizer.json', map = {} }: { file?: string; map?: unknown } = {},
  ): TextTokenizer {
    const both = withSpecialTokensMap(
      checked(configSchema, config, 'tokenizer_config.json'),
      checked(specialTokensMapSchema, map, 'special_tokens_map.json'),
    )
    const fingerprint = digestOf([JSON.stringify([version, vocabularySize, definition, config, map])])
    return new TextTokenizer(parseDefinition(definition), both, vocabularySize, fingerprint, file)
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

function checked<T>(schema: z.ZodType<T>, raw: unknown, file: string): T {
  const parsed = schema.safeParse(raw)
  if (parsed.success) return parsed.data
  const { path, message } = parsed.error.issues[0]!
  throw tokenizerBroken(`${file}: ${path.join('.')}: ${message}`, 'Save the tokenizer again.')
}
