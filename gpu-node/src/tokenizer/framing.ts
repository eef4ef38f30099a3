/**
 * What the post-processor puts around a text. Training and evaluation frame texts themselves: the tokens before the
 * text are kept, an end token after it is not, since training closes each example with one and a prompt must stay open.
 */
import { type PostProcessorNode, tokenizerBroken } from './definition.ts'

export interface Framing {
  /** Ids that stand before every text: the begin-of-text token of most models. */
  readonly before: readonly number[]
  /** End tokens that the file would put after every text. */
  readonly after: number
}

/** Throws TOKENIZER_BROKEN where anything but the end token follows the text, or an id contradicts the vocabulary. */
export function readFraming(
  nodes: readonly PostProcessorNode[],
  idOf: (token: string) => number | undefined,
  endTokenId: number,
): Framing {
  let before: number[] = []
  let after: number[] = []
  nodes.forEach((node, index) => {
    const place = `tokenizer.json: post-processor ${index + 1} (${node.type})`
    const [left, right] = framed(node, place)
    for (const [token, ids] of [...left, ...right]) {
      const known = idOf(token)
      if (known === undefined || (ids.length === 1 && ids[0] !== known))
        throw tokenizerBroken(
          `${place} gives ${JSON.stringify(token)} the id ${ids.join(', ')}, the vocabulary ${known ?? 'none'}`,
          'Save the tokenizer again: its parts do not belong together.',
        )
    }
    before = [...left.flatMap(([, ids]) => ids), ...before]
    after = [...after, ...right.flatMap(([, ids]) => ids)]
  })
  const other = after.find((id) => id !== endTokenId)
  if (other !== undefined)
    throw tokenizerBroken(
      `tokenizer.json: post_processor puts token ${other} after the text, which is not the end token ${endTokenId}`,
      'Prompts must be open at their end. Save the tokenizer without that token, or name it as eos_token.',
    )
  return { before, after: after.length }
}

type Marks = (readonly [token: string, ids: readonly number[]])[]

function framed(node: PostProcessorNode, place: string): [left: Marks, right: Marks] {
  switch (node.type) {
    case 'ByteLevel':
      return [[], []]
    case 'BertProcessing':
    case 'RobertaProcessing':
      return [[[node.cls[0], [node.cls[1]]]], [[node.sep[0], [node.sep[1]]]]]
    case 'TemplateProcessing': {
      const sides: [Marks, Marks] = [[], []]
      let texts = 0
      for (const piece of node.single) {
        if ('Sequence' in piece) {
          if (piece.Sequence.id === 'B' || ++texts > 1)
            throw tokenizerBroken(
              `${place} does not place one text once`,
              'Its template "single" must hold Sequence A once.',
            )
          continue
        }
        const token = piece.SpecialToken.id
        const ids = node.special_tokens[token]?.ids
        if (!ids)
          throw tokenizerBroken(
            `${place} names ${JSON.stringify(token)} without its id`,
            'Add it to special_tokens.',
          )
        sides[texts]!.push([token, ids])
      }
      if (texts === 0) throw tokenizerBroken(`${place} leaves the text out`, 'Save the tokenizer again.')
      return sides
    }
  }
}
