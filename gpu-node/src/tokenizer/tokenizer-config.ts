/**
 * `tokenizer_config.json` beside tokenizer.json: the special tokens by name, and where the two files disagree. Ids follow
 * tokenizer.json.
 */
import { z } from 'zod'
import { type AddedToken, type PreTokenizerNode, tokenizerBroken } from './definition.ts'
import type { Framing } from './framing.ts'

const namedToken = z.union([z.string(), z.object({ content: z.string() })]).nullish()
export const configSchema = z.object({
  bos_token: namedToken,
  eos_token: namedToken,
  pad_token: namedToken,
  unk_token: namedToken,
  additional_special_tokens: z.array(namedToken).nullish(),
  add_bos_token: z.boolean().nullish(),
  add_prefix_space: z.boolean().nullish(),
  split_special_tokens: z.boolean().nullish(),
  added_tokens_decoder: z.record(z.string(), z.object({ content: z.string() })).nullish(),
})
export type ConfigFile = z.output<typeof configSchema>

/**
 * The added tokens of tokenizer.json and the special tokens that only tokenizer_config.json names. Special ones are
 * found in the raw text, whatever the file says about normalising them first: training text ends with the literal end
 * token, which must become its one id (METHODS 5.5).
 */
export function allAddedTokens(
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
export function notesOf(
  config: ConfigFile,
  { before, after, prefixSpace }: Framing & { prefixSpace: boolean | null },
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
    ...(config.split_special_tokens
      ? [
          'tokenizer_config.json says split_special_tokens; special tokens in a text are one token all the same, since examples end with one',
        ]
      : []),
    ...(prefixSpace === null || (config.add_prefix_space ?? prefixSpace) === prefixSpace
      ? []
      : [
          `tokenizer_config.json says add_prefix_space ${config.add_prefix_space}, the pre-tokenizer of tokenizer.json ${prefixSpace}: tokenizer.json is followed, as transformers 5 does`,
        ]),
    ...(stated === begins
      ? []
      : [
          `tokenizer_config.json says add_bos_token ${stated}, the post-processor of tokenizer.json ${begins ? 'adds' : 'does not add'} ${beginToken ?? 'one'}: tokenizer.json is followed, as transformers 5 does`,
        ]),
  ]
}

/** Whether a text gets a space in front of it; null where no part of the file is about that. */
export function addsPrefixSpace(nodes: readonly PreTokenizerNode[]): boolean | null {
  for (const node of nodes) {
    if (node.type === 'ByteLevel') return node.add_prefix_space
    if (node.type === 'Metaspace') return node.add_prefix_space !== false && node.prepend_scheme !== 'never'
  }
  return null
}

/** A special token is stored as its text or as an object that holds it. */
export function textOf(token: z.output<typeof namedToken>): string | null {
  return typeof token === 'string' ? token : (token?.content ?? null)
}
