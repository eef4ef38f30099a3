/** What is used of @huggingface/tokenizers, with types: its own declarations do not resolve under Node's rules. */
import * as library from '@huggingface/tokenizers'

interface Library {
  /** Merges the characters of a text; what comes out need not be in the vocabulary. */
  BPE: new (config: {
    type: 'BPE'
    vocab: object
    merges: readonly [string, string][]
  }) => {
    bpe(text: string): string[]
  }
  /** The best path through a text; characters that no token spells come out one by one. */
  Unigram: new (
    config: { type: 'Unigram'; unk_id: number; vocab: readonly [string, number][] },
    endToken: string,
  ) => { tokenize(text: string): string[] }
  /** Rewrites an Oniguruma pattern. */
  SplitPreTokenizer: new (config: {
    type: 'Split'
    pattern: { Regex: string }
    behavior: string
    invert: boolean
  }) => { pattern: RegExp }
}

export const { BPE, Unigram, SplitPreTokenizer } = library as unknown as Library
