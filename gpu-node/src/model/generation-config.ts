/** The part of a folder's `generation_config.json` that matters here: the tokens that end an answer. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseOrThrow } from '@rankscope/protocol'
import { z } from 'zod'
import type { LlamaConfig } from './config.ts'
import { readJsonFile } from './json-file.ts'

const tokenId = z.int().min(-1)
const schema = z.object({ eos_token_id: z.union([tokenId, z.array(tokenId)]).nullish() })

/**
 * Tokens at which generation ends: those of config.json and those of generation_config.json, which models for chats
 * list more of. Ids outside the vocabulary are left out and told. Throws MODEL_BROKEN.
 */
export function readStopTokens(
  folder: string,
  { endTokenIds, vocabularySize }: LlamaConfig,
): { ids: readonly number[]; notes: readonly string[] } {
  const file = join(folder, 'generation_config.json')
  if (!existsSync(file)) return { ids: endTokenIds, notes: [] }
  const { eos_token_id: eos } = parseOrThrow(schema, readJsonFile(file, 'MODEL_BROKEN'), 'MODEL_BROKEN', file)
  const named = [eos ?? []].flat().filter((id) => id >= 0)
  const outside = named.filter((id) => id >= vocabularySize)
  return {
    ids: [...new Set([...endTokenIds, ...named.filter((id) => id < vocabularySize)])],
    notes: outside.map(
      (id) =>
        `${file}: eos_token_id ${id} is outside the vocabulary of ${vocabularySize}; no answer ends with it`,
    ),
  }
}
