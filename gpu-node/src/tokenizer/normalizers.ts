/** The normalizers of tokenizer.json: text to text, one after another. */
import type { NormalizerNode } from './definition.ts'
import { compile, replaceMatches } from './patterns.ts'

export type Normalize = (text: string) => string

export function makeNormalizer(nodes: readonly NormalizerNode[]): Normalize {
  const steps = nodes.map((node, index) => makeStep(node, `normalizer ${index + 1}`))
  return (text) => steps.reduce((sofar, step) => step(sofar), text)
}

function makeStep(node: NormalizerNode, place: string): Normalize {
  switch (node.type) {
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return (text) => text.normalize(node.type)
    case 'Lowercase':
      // Character by character: a final sigma is no case of its own.
      return (text) => Array.from(text, (character) => character.toLowerCase()).join('')
    case 'StripAccents':
      return (text) => text.replace(/\p{M}/gu, '')
    case 'Strip': {
      const left = node.strip_left ? /^\p{White_Space}+/u : /^(?!)/u
      const right = node.strip_right ? /\p{White_Space}+$/u : /^(?!)/u
      return (text) => text.replace(left, '').replace(right, '')
    }
    case 'Prepend':
      return (text) => (text === '' ? '' : node.prepend + text)
    case 'Replace': {
      const pattern = compile(node.pattern, `the pattern of ${place}`)
      return (text) => replaceMatches(text, pattern, node.content)
    }
  }
}
