/**
 * What a file or folder is that holds no weights which can be loaded: by its first bytes, by the names beside it, by the
 * names of its tensors. Each has its own sentence and the command that helps.
 */
import { closeSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { RankscopeError } from '@rankscope/protocol'
import type { TensorInfo } from './safetensors.ts'

interface Finding {
  readonly what: string
  readonly hint: string
}

const transformers = (from: string, action: string) =>
  `python -c "from transformers import AutoModelForCausalLM as M; M.from_pretrained('${from}')${action}.save_pretrained('NEW')"`

const webPage: Finding = {
  what: 'a web page: a download went wrong',
  hint: 'Fetch the file again; a model behind a licence needs a token ("hf auth login").',
}

/** Files that are something else than they are named, by how they begin. */
const beginnings: readonly (readonly [bytes: string, finding: Finding])[] = [
  [
    'version https://git-lfs',
    {
      what: 'a Git LFS pointer: the file itself was not fetched',
      hint: 'Run "git lfs install && git lfs pull" in its folder, or "hf download NAME --local-dir FOLDER".',
    },
  ],
  [
    'GGUF',
    {
      what: 'a GGUF file of llama.cpp',
      hint: 'Give the folder of the original model with safetensors weights; GGUF weights are mostly quantised.',
    },
  ],
  [
    'PK\x03\x04',
    {
      what: 'a file of torch.save (.bin, .pt, .pth), not safetensors',
      hint: `Convert its folder: ${transformers('FOLDER', '')}`,
    },
  ],
  ...['<!DOCTYPE', '<!doctype', '<html', '<HTML'].map((bytes) => [bytes, webPage] as const),
]

/** What `file` is by its first bytes; null where they say nothing. */
export function recogniseFile(file: string): Finding | null {
  const descriptor = openSync(file, 'r')
  try {
    const start = Buffer.alloc(32)
    const text = start.subarray(0, readSync(descriptor, start, 0, start.length, 0)).toString('latin1')
    return beginnings.find(([bytes]) => text.startsWith(bytes))?.[1] ?? null
  } finally {
    closeSync(descriptor)
  }
}

/** Why a path that is a file is no model. */
export function fileAsModel(file: string): RankscopeError {
  const found = recogniseFile(file)
  const what = found?.what ?? (file.endsWith('.safetensors') ? 'the weights alone' : 'a file')
  return new RankscopeError('MODEL_NOT_FOUND', `${file}: this is ${what}`, {
    hint: found?.hint ?? 'Give the folder that holds config.json and model.safetensors.',
  })
}

/** Why a folder without `config.json` is no model. */
export function folderWithoutConfig(folder: string): RankscopeError {
  const names = readdirSync(folder)
  if (names.includes('adapter_config.json')) return adapterFolder(folder)
  const gguf = names.find((name) => name.endsWith('.gguf'))
  if (gguf) return fileAsModel(join(folder, gguf))
  if (names.includes('params.json'))
    return new RankscopeError(
      'MODEL_NOT_FOUND',
      `${folder}: a checkpoint in Meta's own layout (params.json)`,
      {
        hint: 'Take the -hf model, or convert it: python -m transformers.models.llama.convert_llama_weights_to_hf --input_dir FOLDER --output_dir NEW',
      },
    )
  return new RankscopeError('MODEL_NOT_FOUND', `${folder}: the folder has no config.json`, {
    hint: 'Give a Hugging Face model folder.',
  })
}

/** Why a folder with `config.json` has no weights that can be loaded. */
export function folderWithoutWeights(folder: string): RankscopeError {
  const names = readdirSync(folder)
  if (names.includes('adapter_config.json')) return adapterFolder(folder)
  const shard = names.find((name) => /-\d+-of-\d+\.safetensors$/.test(name))
  if (shard)
    return new RankscopeError(
      'MODEL_BROKEN',
      `${folder}: ${shard} is one of several, and model.safetensors.index.json, which lists them, is missing`,
      { hint: 'Fetch the index too: "hf download NAME --local-dir FOLDER".' },
    )
  const torch = names.find((name) => /\.(bin|pt|pth)$/.test(name) && /model|consolidated/.test(name))
  if (torch)
    return new RankscopeError(
      'MODEL_NOT_FOUND',
      `${folder}: the weights are in ${torch} alone, not in safetensors`,
      {
        hint: `Convert them: ${transformers(folder, '')}`,
      },
    )
  return new RankscopeError(
    'MODEL_NOT_FOUND',
    `${folder}: no model.safetensors and no model.safetensors.index.json`,
    { hint: 'Give a Hugging Face model folder with safetensors weights.' },
  )
}

/** Why these tensors are not those of a plain model, where their names or types say so. */
export function foreignWeights(tensors: Iterable<TensorInfo>): RankscopeError | null {
  for (const { name, dtype, file } of tensors) {
    const marks =
      /\.(qweight|qzeros|scales|g_idx|absmax|quant_state|weight_scale(_inv)?|weight_packed)\b/.exec(name)
    if (marks || dtype.startsWith('F8') || (/weight$/.test(name) && /^[IU]\d/.test(dtype)))
      return new RankscopeError(
        'MODEL_UNSUPPORTED',
        `${file}: tensor ${name} of ${dtype}: the weights are quantised`,
        {
          hint: `Take the model as it was before, or write it out: ${transformers('FOLDER', '.dequantize()')}`,
        },
      )
    if (/\.lora_[AB]\b/.test(name))
      return new RankscopeError('MODEL_UNSUPPORTED', `${file}: tensor ${name} belongs to a LoRA adapter`, {
        hint: mergeHint('FOLDER'),
      })
    const prefix = /^(.*)embed_tokens\.weight$/.exec(name)?.[1]
    if (prefix !== undefined && prefix !== 'model.')
      return new RankscopeError(
        'MODEL_UNSUPPORTED',
        `${file}: tensor ${name}: names begin with ${prefix === '' ? 'no prefix' : JSON.stringify(prefix)} in place of "model."`,
        {
          hint:
            prefix === ''
              ? `The bare model was saved, without its head. Save it whole: ${transformers('FOLDER', '')}`
              : 'The model was saved inside a wrapper (PEFT, torch.compile, DistributedDataParallel, a vision model). Save the language model itself with save_pretrained.',
        },
      )
  }
  return null
}

function adapterFolder(folder: string): RankscopeError {
  return new RankscopeError('MODEL_UNSUPPORTED', `${folder}: a PEFT adapter, not a model`, {
    hint: mergeHint(folder),
  })
}

function mergeHint(folder: string): string {
  return `Merge it into its base: python -c "from peft import AutoPeftModelForCausalLM as M; M.from_pretrained('${folder}').merge_and_unload().save_pretrained('NEW')"`
}
