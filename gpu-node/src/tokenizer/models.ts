/**
 * The models of tokenizer.json: how a piece of text is spelled in tokens. Merging and the best path come from
 * @huggingface/tokenizers; what no token spells becomes bytes or the unknown token as in the reference library.
 */
import { type ModelNode, tokenizerBroken } from './definition.ts'
import { BPE, Unigram } from './library.ts'

export interface TokenModel {
  readonly idOf: ReadonlyMap<string, number>
  encode(piece: string): number[]
}

const again = 'Save the tokenizer again, or fetch tokenizer.json anew.'

/** Throws TOKENIZER_BROKEN for a vocabulary or merges that contradict themselves. */
export function makeModel(node: ModelNode): TokenModel {
  switch (node.type) {
    case 'BPE':
      return bytePairs(node)
    case 'Unigram':
      return unigram(node)
    case 'WordLevel':
      return words(node)
  }
}

function bytePairs(node: Extract<ModelNode, { type: 'BPE' }>): TokenModel {
  const vocab = checkedVocabulary(node.vocab)
  const merges = checkedMerges(node.merges, vocab, node.byte_fallback)
  const unknown = node.unk_token ? requireToken(vocab, node.unk_token, 'model.unk_token') : null
  const bpe = new BPE({ type: 'BPE', vocab: Object.fromEntries(vocab), merges })
  const spelled = (character: string) =>
    vocab.has(character) || (node.byte_fallback && byteIds(vocab, character) !== null)
  return {
    idOf: vocab,
    encode(piece) {
      const whole = node.ignore_merges ? vocab.get(piece) : undefined
      if (whole !== undefined) return [whole]
      const ids: number[] = []
      // The last unknown character is held back until the next known one: bytes in between go before it.
      let held = false
      const flush = () => {
        if (held) ids.push(unknown!)
        held = false
      }
      // Without an unknown token what cannot be spelled is left out, and its neighbours may merge.
      const text = unknown === null ? [...piece].filter(spelled).join('') : piece
      for (const symbol of bpe.bpe(text)) {
        const id = vocab.get(symbol)
        const bytes = id === undefined && node.byte_fallback ? byteIds(vocab, symbol) : null
        if (id !== undefined) {
          flush()
          ids.push(id)
        } else if (bytes) ids.push(...bytes)
        else {
          if (!node.fuse_unk) flush()
          held = true
        }
      }
      flush()
      return ids
    },
  }
}

function unigram(node: Extract<ModelNode, { type: 'Unigram' }>): TokenModel {
  const entries = node.vocab
  const isEntry = (entry: unknown): entry is [string, number] =>
    Array.isArray(entry) && entry.length === 2 && typeof entry[0] === 'string' && typeof entry[1] === 'number'
  if (!Array.isArray(entries) || !entries.every(isEntry))
    throw tokenizerBroken('tokenizer.json: model.vocab is not a list of [token, score]', again)
  const idOf = new Map(entries.map(([token], id) => [token, id]))
  if (idOf.size !== entries.length)
    throw tokenizerBroken('tokenizer.json: model.vocab names a token twice', again)
  if (node.unk_id >= entries.length)
    throw tokenizerBroken(
      `tokenizer.json: model.unk_id ${node.unk_id} is outside its ${entries.length} tokens`,
      again,
    )
  const model = new Unigram({ type: 'Unigram', unk_id: node.unk_id, vocab: entries }, '')
  return {
    idOf,
    encode(piece) {
      const ids: number[] = []
      let unknown = ''
      const flush = () => {
        if (unknown === '') return
        const whole = idOf.get(unknown)
        const bytes = whole === undefined && node.byte_fallback ? byteIds(idOf, unknown) : null
        ids.push(...(bytes ?? [whole ?? node.unk_id]))
        unknown = ''
      }
      for (const symbol of model.tokenize(piece)) {
        const id = idOf.get(symbol)
        // The token of unk_id itself is unknown text too, and joins its neighbours.
        if (id === undefined || id === node.unk_id) {
          unknown += symbol
          continue
        }
        flush()
        ids.push(id)
      }
      flush()
      return ids
    },
  }
}

function words(node: Extract<ModelNode, { type: 'WordLevel' }>): TokenModel {
  const vocab = checkedVocabulary(node.vocab)
  const unknown = requireToken(vocab, node.unk_token, 'model.unk_token')
  return { idOf: vocab, encode: (piece) => [vocab.get(piece) ?? unknown] }
}

/** Ids of the byte tokens that spell `text`; null unless all of them exist. */
function byteIds(vocab: ReadonlyMap<string, number>, text: string): number[] | null {
  const ids = Array.from(Buffer.from(text, 'utf8'), (byte) =>
    vocab.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
  )
  return ids.every((id) => id !== undefined) ? ids : null
}

function requireToken(vocab: ReadonlyMap<string, number>, token: string, place: string): number {
  const id = vocab.get(token)
  if (id === undefined)
    throw tokenizerBroken(`tokenizer.json: ${place} ${JSON.stringify(token)} is not in the vocabulary`, again)
  return id
}

function checkedVocabulary(vocab: unknown): Map<string, number> {
  if (typeof vocab !== 'object' || vocab === null || Array.isArray(vocab))
    throw tokenizerBroken('tokenizer.json: model.vocab is not a map from tokens to ids', again)
  const owners = new Map<number, string>()
  for (const [token, id] of Object.entries(vocab)) {
    if (!Number.isSafeInteger(id) || id < 0)
      throw tokenizerBroken(
        `tokenizer.json: model.vocab gives ${JSON.stringify(token)} the id ${JSON.stringify(id)}`,
        again,
      )
    const owner = owners.get(id)
    if (owner !== undefined)
      throw tokenizerBroken(
        `tokenizer.json: model.vocab gives the id ${id} to ${JSON.stringify(owner)} and ${JSON.stringify(token)}`,
        again,
      )
    owners.set(id, token)
  }
  return new Map(Object.entries(vocab as Record<string, number>))
}

/** Merges as pairs, whatever the style of the file. Each makes a token of two tokens. */
function checkedMerges(
  merges: unknown,
  vocab: ReadonlyMap<string, number>,
  byteFallback: boolean,
): [string, string][] {
  if (!Array.isArray(merges)) throw tokenizerBroken('tokenizer.json: model.merges is not a list', again)
  return merges.map((merge: unknown, index) => {
    const parts: unknown = typeof merge === 'string' ? merge.split(' ') : merge
    const place = `tokenizer.json: model.merges[${index}] ${JSON.stringify(merge)}`
    if (!Array.isArray(parts) || parts.length !== 2) throw tokenizerBroken(`${place} is not a pair`, again)
    const [left, right] = parts as [string, string]
    const missing = [left, right, left + right].find((token) => !vocab.has(token))
    if (missing !== undefined)
      throw tokenizerBroken(`${place}: ${JSON.stringify(missing)} is not in the vocabulary`, again)
    if (byteFallback && (isByteToken(left) || isByteToken(right)))
      throw tokenizerBroken(
        `${place} joins byte tokens, which is not supported here`,
        'Tokenise the data beforehand (a source of kind tokens).',
      )
    return [left, right]
  })
}

function isByteToken(token: string): boolean {
  return /^<0x[0-9A-F]{2}>$/.test(token)
}
