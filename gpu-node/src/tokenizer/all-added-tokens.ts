/**
 * Every added token of a tokenizer: those of tokenizer.json with what tokenizer_config.json says of them, and the special
 * ones that only tokenizer_config.json names. Ids are those of the reference library, flags those of transformers.
 */
import { type AddedToken, tokenizerBroken } from './definition.ts'
import type { Normalize } from './normalizers.ts'
import { type ConfigFile, namedTokens, textOf } from './tokenizer-config.ts'

export interface AddedTokens {
  readonly tokens: readonly AddedToken[]
  /** What is taken otherwise than tokenizer.json has it, in sentences. */
  readonly notes: readonly string[]
}

const again = 'Save the tokenizer again: its parts do not belong together.'
const flags = ['special', 'normalized', 'single_word', 'lstrip', 'rstrip'] as const
const plain = { special: true, normalized: false, single_word: false, lstrip: false, rstrip: false }
const quoted = (text: string) => JSON.stringify(text)

/**
 * Special tokens are found in the raw text, whatever the files say about normalising them first: training text ends with
 * the literal end token, which must become its one id (METHODS 5.5). `vocabularySize`: tokens that the model embeds.
 * Throws TOKENIZER_BROKEN for ids that contradict one another, and for tokens that the reference library could not tell
 * apart.
 */
export function allAddedTokens(
  added: readonly AddedToken[],
  config: ConfigFile,
  idOf: ReadonlyMap<string, number>,
  normalize: Normalize,
  vocabularySize: number,
): AddedTokens {
  const known = ofTokenizerFile(added, idOf, vocabularySize)
  const notes = followConfig(known, config, idOf)
  let nextId = idOf.size + [...known.keys()].filter((content) => !idOf.has(content)).length
  for (const content of namedTokens(config)) {
    const id = idOf.get(content)
    // An end token that no file gives an id is refused by whoever asks for it.
    if (known.has(content) || (id === undefined && content === textOf(config.eos_token))) continue
    if (id === undefined)
      notes.push(
        `tokenizer_config.json names the special token ${content}, which tokenizer.json lacks: it is token ${nextId}, as in transformers`,
      )
    known.set(content, { content, id: id ?? nextId++, ...plain })
  }
  for (const token of known.values()) {
    if (!token.special || !token.normalized) continue
    known.set(token.content, { ...token, normalized: false })
    // What is only put in front, as in Llama 2's files, is METHODS' own case.
    if (!normalize(token.content).endsWith(token.content))
      notes.push(
        `the special token ${token.content} is marked as normalized, by which it would become ${quoted(normalize(token.content))}: it is looked for as it stands`,
      )
  }
  const tokens = [...known.values()]
  refuseUnfindable(tokens, normalize)
  return { tokens, notes }
}

/** Tokens of tokenizer.json by their text. */
function ofTokenizerFile(
  added: readonly AddedToken[],
  idOf: ReadonlyMap<string, number>,
  vocabularySize: number,
): Map<string, AddedToken> {
  const known = new Map<string, AddedToken>()
  const owners = new Map([...idOf].map(([token, id]) => [id, token]))
  let nextId = idOf.size
  for (const token of added) {
    const { id, content } = token
    const other = idOf.get(content) ?? known.get(content)?.id
    const owner = owners.get(id)
    if (other !== undefined && other !== id)
      throw tokenizerBroken(
        `tokenizer.json: added token ${quoted(content)} has id ${id}, elsewhere in the file ${other}`,
        again,
      )
    if (owner !== undefined && owner !== content)
      throw tokenizerBroken(
        `tokenizer.json: id ${id} belongs to the added token ${quoted(content)} and to ${quoted(owner)}`,
        again,
      )
    // The reference library does not heed the ids of new tokens: it counts on from the size of the vocabulary. One that the
    // model does not embed is refused by the text that holds it.
    const given = other ?? nextId++
    if (given !== id && id < vocabularySize)
      throw tokenizerBroken(
        `tokenizer.json: added token ${quoted(content)} has id ${id}, and the reference library, which counts on from the vocabulary, would give it ${given}`,
        'There are holes between its ids. Save the tokenizer again with a token for every id, or tokenise the data beforehand (a source of kind tokens).',
      )
    owners.set(id, content)
    known.set(content, { ...token, normalized: token.normalized ?? !token.special })
  }
  return known
}

/** Gives `known` the flags of tokenizer_config.json; the sentences tell where tokenizer.json has others. */
function followConfig(
  known: Map<string, AddedToken>,
  config: ConfigFile,
  idOf: ReadonlyMap<string, number>,
): string[] {
  const notes: string[] = []
  for (const [id, described] of Object.entries(config.added_tokens_decoder ?? {})) {
    const { content } = described
    const token = known.get(content)
    const found = token?.id ?? idOf.get(content)
    if (found !== Number(id))
      throw tokenizerBroken(
        `tokenizer_config.json: added_tokens_decoder gives ${quoted(content)} the id ${id}, tokenizer.json ${found ?? 'has no such token'}`,
        'Save the tokenizer again, so that both files name the same tokens.',
      )
    const before = token ?? { id: found, content, ...plain, special: false }
    const others = flags.filter((flag) => described[flag] !== undefined && described[flag] !== before[flag])
    const said = Object.fromEntries(others.map((flag) => [flag, described[flag]]))
    known.set(content, { ...before, ...said })
    if (token && others.length > 0)
      notes.push(
        `tokenizer_config.json says ${others.map((flag) => `${flag} ${described[flag]}`).join(', ')} of ${content}, tokenizer.json otherwise: tokenizer_config.json is followed, as transformers does`,
      )
  }
  return notes
}

/** Texts that normalising makes empty or equal are found everywhere, or as any of them, by the reference library. */
function refuseUnfindable(tokens: readonly AddedToken[], normalize: Normalize): void {
  const owners = new Map<string, string>()
  for (const { content, normalized } of tokens) {
    if (!normalized) continue
    const text = normalize(content)
    const owner = owners.get(text)
    if (text === '' || owner !== undefined)
      throw tokenizerBroken(
        `tokenizer.json: the normalizer makes added token ${quoted(content)} ${text === '' ? 'an empty text' : `the same text as ${quoted(owner!)}`}`,
        'Save the token as not normalized.',
      )
    owners.set(text, content)
  }
}
