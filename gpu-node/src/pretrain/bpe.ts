/**
 * Trains a byte-level BPE tokenizer (Sennrich et al. 2016, on bytes as in GPT-2) and writes the `tokenizer.json` that
 * @huggingface/tokenizers and transformers load.
 *
 * Text is first cut by `splitPattern`: words and digits with the space before them, each digit alone, so that numbers
 * are spelled digit by digit; merges never cross a cut.
 */
import { byteCharacters, spellBytes } from '../tokenizer/byte-alphabet.ts'

/** ` ?` keeps a word's or a digit's space with it; JavaScript and Rust read the pattern alike. */
export const splitPattern = ' ?\\p{L}+| ?\\p{N}| ?[^\\s\\p{L}\\p{N}]+|\\s+'

export const specialTokens = { pad: '<|pad|>', start: '<|start|>', end: '<|end|>' } as const

/** Contents of `tokenizer.json` for a vocabulary of `vocabularySize` tokens learned from `texts`. Deterministic. */
export function trainTokenizer(texts: Iterable<string>, vocabularySize: number): object {
  const alphabet = [...byteCharacters].sort()
  const special = Object.values(specialTokens)
  const mergeCount = vocabularySize - special.length - alphabet.length
  if (mergeCount < 0) throw new Error(`a vocabulary of ${vocabularySize} cannot hold the 256 bytes`)
  const merges = learnMerges(countPieces(texts), mergeCount)
  const tokens = [...special, ...alphabet, ...merges.map(([left, right]) => left + right)]
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: splitPattern }, behavior: 'Isolated', invert: false },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: startsWith(specialTokens.start, special.indexOf(specialTokens.start)),
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: merges.map(([left, right]) => `${left} ${right}`),
    },
  }
}

/** Contents of `tokenizer_config.json` beside it. */
export function tokenizerConfig(maxLength: number): Record<string, unknown> {
  return {
    add_bos_token: true,
    add_eos_token: false,
    bos_token: specialTokens.start,
    eos_token: specialTokens.end,
    pad_token: specialTokens.pad,
    clean_up_tokenization_spaces: false,
    model_max_length: maxLength,
    tokenizer_class: 'PreTrainedTokenizerFast',
  }
}

/** How often each piece occurs, spelled in byte characters. */
function countPieces(texts: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>()
  const pattern = new RegExp(splitPattern, 'gu')
  for (const text of texts)
    for (const [piece] of text.matchAll(pattern)) counts.set(piece, (counts.get(piece) ?? 0) + 1)
  return new Map([...counts].map(([piece, count]) => [spellBytes(piece), count]))
}

/** The most frequent pair again and again; ties go to the pair that sorts first, so that the result is one. */
function learnMerges(pieces: Map<string, number>, count: number): [string, string][] {
  let spelled = [...pieces].map(([piece, frequency]) => ({ symbols: [...piece], frequency }))
  const merges: [string, string][] = []
  while (merges.length < count) {
    const pairs = new Map<string, number>()
    for (const { symbols, frequency } of spelled)
      for (let i = 0; i + 1 < symbols.length; i++) {
        const pair = `${symbols[i]} ${symbols[i + 1]}`
        pairs.set(pair, (pairs.get(pair) ?? 0) + frequency)
      }
    let best: [pair: string, frequency: number] | null = null
    for (const [pair, frequency] of pairs)
      if (!best || frequency > best[1] || (frequency === best[1] && pair < best[0])) best = [pair, frequency]
    if (!best) break
    const [left, right] = best[0].split(' ') as [string, string]
    merges.push([left, right])
    spelled = spelled.map(({ symbols, frequency }) => ({
      symbols: mergePair(symbols, left, right),
      frequency,
    }))
  }
  return merges
}

function mergePair(symbols: string[], left: string, right: string): string[] {
  const merged: string[] = []
  for (let i = 0; i < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) {
      merged.push(left + right)
      i++
    } else merged.push(symbols[i] as string)
  }
  return merged
}

function startsWith(token: string, id: number): object {
  const first = (type: number) => ({ SpecialToken: { id: token, type_id: type } })
  const sequence = (name: string, type: number) => ({ Sequence: { id: name, type_id: type } })
  return {
    type: 'TemplateProcessing',
    single: [first(0), sequence('A', 0)],
    pair: [first(0), sequence('A', 0), first(1), sequence('B', 1)],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  }
}
