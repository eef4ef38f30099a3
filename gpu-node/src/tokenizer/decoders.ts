/** The decoders of tokenizer.json: tokens to text, each from a list of texts to another. */
import { isUtf8 } from 'node:buffer'
import { characterBytes } from './byte-alphabet.ts'
import type { DecoderNode } from './definition.ts'
import { compile, replaceMatches } from './patterns.ts'

type Step = (tokens: readonly string[]) => readonly string[]

/** The text of tokens. Without any decoder they stand with spaces between them, as in the reference library. */
export function makeDecoder(nodes: readonly DecoderNode[] | null): (tokens: readonly string[]) => string {
  if (nodes === null) return (tokens) => tokens.join(' ')
  const steps = nodes.map((node, index) => makeStep(node, `decoder ${index + 1}`))
  return (tokens) => steps.reduce((sofar, step) => step(sofar), tokens).join('')
}

function makeStep(node: DecoderNode, place: string): Step {
  switch (node.type) {
    case 'ByteLevel':
      return (tokens) => [Buffer.from(tokens.flatMap(bytesOf)).toString('utf8')]
    case 'ByteFallback':
      return joinBytes
    case 'Fuse':
      return (tokens) => [tokens.join('')]
    case 'Replace': {
      const pattern = compile(node.pattern, `the pattern of ${place}`)
      return (tokens) => tokens.map((token) => replaceMatches(token, pattern, node.content))
    }
    case 'Strip':
      return (tokens) => tokens.map((token) => strip([...token], node))
    case 'Metaspace': {
      const { replacement } = node
      const first = node.add_prefix_space === false || node.prepend_scheme === 'never' ? ' ' : ''
      return (tokens) =>
        tokens.map((token, index) => token.replaceAll(replacement, index === 0 ? first : ' '))
    }
    case 'BPEDecoder': {
      const suffix = compile({ String: node.suffix }, place)
      return (tokens) =>
        tokens.map((token, index) => replaceMatches(token, suffix, index === tokens.length - 1 ? '' : ' '))
    }
  }
}

/** A token that is not spelled in byte characters (an added one) stands for its own bytes. */
function bytesOf(token: string): number[] {
  const bytes = Array.from(token, (character) => characterBytes.get(character))
  return bytes.every((byte) => byte !== undefined) ? bytes : [...Buffer.from(token, 'utf8')]
}

/** Runs of byte tokens become text; where they are none, each byte becomes a replacement character. */
function joinBytes(tokens: readonly string[]): string[] {
  const result: string[] = []
  let bytes: number[] = []
  const flush = () => {
    if (bytes.length === 0) return
    const text = Buffer.from(bytes)
    result.push(isUtf8(text) ? text.toString('utf8') : '\uFFFD'.repeat(bytes.length))
    bytes = []
  }
  for (const token of tokens) {
    const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1]
    if (byte !== undefined) {
      bytes.push(Number.parseInt(byte, 16))
      continue
    }
    flush()
    result.push(token)
  }
  flush()
  return result
}

function strip(characters: string[], node: { content: string; start: number; stop: number }): string {
  let start = 0
  let end = characters.length
  while (start < node.start && characters[start] === node.content) start++
  while (characters.length - end < node.stop && characters[end - 1] === node.content) end--
  return characters.slice(start, Math.max(start, end)).join('')
}
