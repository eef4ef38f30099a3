/**
 * `tokenizer_config.json` beside tokenizer.json: the special tokens by name, and where the files disagree. Which one is
 * followed is as transformers 5 does it.
 */
import { z } from 'zod'
import type { PreTokenizerNode } from './definition.ts'
import type { Framing } from './framing.ts'

const namedToken = z.union([z.string(), z.object({ content: z.string() })]).nullish()
/** Special tokens by their role, in the order in which transformers adds those that tokenizer.json lacks. */
const roles = {
  bos_token: namedToken,
  eos_token: namedToken,
  unk_token: namedToken,
  sep_token: namedToken,
  pad_token: namedToken,
  cls_token: namedToken,
  mask_token: namedToken,
}
const flag = z.boolean().optional()
/** An added token as tokenizer_config.json describes it once more. */
const describedToken = z.object({
  ...{ content: z.string(), special: flag, normalized: flag },
  ...{ single_word: flag, lstrip: flag, rstrip: flag },
})
export const configSchema = z.object({
  ...roles,
  additional_special_tokens: z.array(namedToken).nullish(),
  extra_special_tokens: z.union([z.array(namedToken), z.record(z.string(), namedToken)]).nullish(),
  add_bos_token: z.boolean().nullish(),
  add_prefix_space: z.boolean().nullish(),
  split_special_tokens: z.boolean().nullish(),
  added_tokens_decoder: z.record(z.string(), describedToken).nullish(),
})
export type ConfigFile = z.output<typeof configSchema>

/** The older file `special_tokens_map.json`. */
export const specialTokensMapSchema = z.object({
  ...roles,
  additional_special_tokens: configSchema.shape.additional_special_tokens,
})
export type SpecialTokensMap = z.output<typeof specialTokensMapSchema>

/**
 * The special tokens by name with what special_tokens_map.json says of them. It is followed, save where
 * tokenizer_config.json has an `added_tokens_decoder`; where it says otherwise, that is told.
 */
export function withSpecialTokensMap(
  config: ConfigFile,
  map: SpecialTokensMap,
): { config: ConfigFile; notes: string[] } {
  const followed = config.added_tokens_decoder ? 'tokenizer_config.json' : 'special_tokens_map.json'
  const notes = Object.keys(roles).flatMap((key) => {
    const role = key as keyof typeof roles
    const [here, there] = [textOf(config[role]), textOf(map[role])]
    return here === null || there === null || here === there
      ? []
      : [
          `special_tokens_map.json says ${role} ${there}, tokenizer_config.json ${here}: ${followed} is followed, as transformers does`,
        ]
  })
  if (config.added_tokens_decoder) return { config, notes }
  const said = Object.fromEntries(Object.entries(map).filter(([, value]) => (value ?? null) !== null))
  return { config: { ...config, ...said }, notes }
}

/** Texts of all special tokens that have a name, in the order in which transformers adds those that are new. */
export function namedTokens(config: ConfigFile): string[] {
  const { extra_special_tokens: extra } = config
  const more = (Array.isArray(extra) ? extra : null) ?? config.additional_special_tokens ?? []
  const byName = extra && !Array.isArray(extra) ? Object.values(extra) : []
  return [...Object.keys(roles).map((role) => config[role as keyof typeof roles]), ...byName, ...more]
    .map(textOf)
    .filter((text): text is string => text !== null && text !== '')
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
