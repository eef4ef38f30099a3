/** The pre-tokenizers of tokenizer.json: they cut text into the pieces that the model spells one by one. */
import { spellBytes } from './byte-alphabet.ts'
import type { PreTokenizerNode } from './definition.ts'
import { compile, cut, type Piece, wordClass } from './patterns.ts'

export type PreTokenize = (piece: Piece) => readonly Piece[]

/** GPT-2's cut into words with the space before them, as the reference library spells it. */
const wordPattern = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
/** Runs of letters and runs of what is neither letter nor space. */
const words = new RegExp(`${wordClass}+|(?:(?!${wordClass})\\P{White_Space})+`, 'gu')
/** ASCII's punctuation includes symbols such as $ and +; beyond ASCII only what Unicode calls punctuation counts. */
const punctuation = /[\p{P}$+<=>^`|~]/gu

export function makePreTokenizer(nodes: readonly PreTokenizerNode[]): PreTokenize {
  const steps = nodes.map((node, index) => makeStep(node, `pre-tokenizer ${index + 1}`))
  return (piece) => steps.reduce<readonly Piece[]>((pieces, step) => pieces.flatMap(step), [piece])
}

function makeStep(node: PreTokenizerNode, place: string): PreTokenize {
  switch (node.type) {
    case 'Split': {
      const pattern = compile(node.pattern, `the pattern of ${place}`)
      return (piece) => cut(piece, pattern, node.behavior, node.invert)
    }
    case 'Digits':
      return (piece) => cut(piece, /\p{N}/gu, node.individual_digits ? 'Isolated' : 'Contiguous')
    case 'Punctuation':
      return (piece) => cut(piece, punctuation, node.behavior)
    case 'Whitespace':
      return (piece) => cut(piece, words, 'Removed', true)
    case 'WhitespaceSplit':
      return (piece) => cut(piece, /\p{White_Space}/gu, 'Removed')
    case 'ByteLevel':
      return byteLevel(node)
    case 'Metaspace':
      return metaspace(node)
  }
}

function byteLevel(node: Extract<PreTokenizerNode, { type: 'ByteLevel' }>): PreTokenize {
  const pattern = compile({ Regex: wordPattern }, 'ByteLevel')
  return ({ text, atStart }) => {
    const spaced = node.add_prefix_space && !text.startsWith(' ') ? ` ${text}` : text
    const pieces = node.use_regex
      ? cut({ text: spaced, atStart }, pattern, 'Isolated')
      : [{ text: spaced, atStart }]
    return pieces.map((piece) => ({ ...piece, text: spellBytes(piece.text) }))
  }
}

/** Spaces become the replacement, one is put in front, and with `split` each begins a piece of its own. */
function metaspace(node: Extract<PreTokenizerNode, { type: 'Metaspace' }>): PreTokenize {
  const { replacement, split } = node
  const scheme = node.add_prefix_space === false ? 'never' : node.prepend_scheme
  const marks = compile({ String: replacement }, 'Metaspace')
  return ({ text, atStart }) => {
    const marked = text.replaceAll(' ', replacement)
    const wanted = scheme === 'always' || (scheme === 'first' && atStart)
    const whole = { text: wanted && !marked.startsWith(replacement) ? replacement + marked : marked, atStart }
    return split ? cut(whole, marks, 'MergedWithNext') : [whole]
  }
}
