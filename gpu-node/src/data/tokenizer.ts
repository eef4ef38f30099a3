/**
 * A model's tokenizer, from the `tokenizer.json` of its folder, with the ids of the tokens that training and
 * generation need by name.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Tokenizer } from '@huggingface/tokenizers'
import { RankscopeError } from '@rankscope/protocol'
import { digestOf } from '../disk-cache.ts'
import { readJsonFile } from '../model/folder.ts'

export class TextTokenizer {
  readonly #tokenizer: Tokenizer
  /** Text of the end-of-text token, which closes every training example. */
  readonly endToken: string
  readonly endTokenId: number
  /** Fills rows up to a common length; positions that hold it are never looked at nor trained on. */
  readonly padTokenId: number
  /** The same for tokenizers of the same definition, and for no others. */
  readonly fingerprint: string

  private constructor(
    tokenizer: Tokenizer,
    fingerprint: string,
    endToken: string,
    endTokenId: number,
    padTokenId: number,
  ) {
    this.#tokenizer = tokenizer
    this.fingerprint = fingerprint
    this.endToken = endToken
    this.endTokenId = endTokenId
    this.padTokenId = padTokenId
  }

  /** Reads `tokenizer.json` and `tokenizer_config.json`. Throws TOKENIZER_BROKEN, naming the file. */
  static load(folder: string): TextTokenizer {
    const file = join(folder, 'tokenizer.json')
    const configFile = join(folder, 'tokenizer_config.json')
    for (const needed of [file, configFile])
      if (!existsSync(needed))
        throw new RankscopeError('TOKENIZER_BROKEN', `${needed}: the file is missing`, {
          hint: 'Save the tokenizer in the fast format (tokenizer.json) beside the model.',
        })
    const definition = readJsonFile(file, 'TOKENIZER_BROKEN') as object
    const config = readJsonFile(configFile, 'TOKENIZER_BROKEN') as Record<string, unknown>
    try {
      return TextTokenizer.from(definition, config)
    } catch (cause) {
      if (cause instanceof RankscopeError) throw cause
      throw new RankscopeError('TOKENIZER_BROKEN', `${file}: ${(cause as Error).message}`, { cause })
    }
  }

  /** From parsed contents of the two files. */
  static from(definition: object, config: Record<string, unknown>): TextTokenizer {
    const tokenizer = new Tokenizer(withRawSpecialTokens(definition), config)
    const endToken = tokenText(config['eos_token'])
    const endTokenId = endToken === null ? undefined : tokenizer.token_to_id(endToken)
    if (endToken === null || endTokenId === undefined)
      throw new RankscopeError(
        'TOKENIZER_BROKEN',
        `tokenizer_config.json: eos_token ${endToken} is not in the vocabulary`,
      )
    const padToken = tokenText(config['pad_token'])
    const padTokenId = padToken === null ? undefined : tokenizer.token_to_id(padToken)
    const fingerprint = digestOf([JSON.stringify([definition, config])])
    return new TextTokenizer(tokenizer, fingerprint, endToken, endTokenId, padTokenId ?? endTokenId)
  }

  /** Ids of `text`, after the begin-of-text token where the tokenizer adds one. */
  encode(text: string): number[] {
    return this.#tokenizer.encode(text).ids
  }

  /** The text of `ids` without special tokens. */
  decode(ids: ArrayLike<number>): string {
    const list = Array.from(ids)
    return list.length === 0 ? '' : this.#tokenizer.decode(list, { skip_special_tokens: true })
  }
}

/**
 * Special tokens are found in the raw text, whatever the file says about normalising them first: training text ends
 * with the literal end token, which must become its one id (METHODS 5.5).
 */
function withRawSpecialTokens(definition: object): object {
  const added = (definition as { added_tokens?: { special?: boolean }[] }).added_tokens ?? []
  return {
    ...definition,
    added_tokens: added.map((token) => (token.special ? { ...token, normalized: false } : token)),
  }
}

/** A special token is stored as its text or as an object that holds it. */
function tokenText(token: unknown): string | null {
  if (typeof token === 'string') return token
  const content = (token as { content?: unknown } | null | undefined)?.content
  return typeof content === 'string' ? content : null
}
