/** Which files of a repository of the Hub are of use here, and where they may lie on this disk. Pure. */
import { RankscopeError } from '@rankscope/protocol'

/** What is asked for: of a model what `openModelFolder` and the tokenizer read, of a data set what the data reader reads. */
export type RepositoryKind = 'model' | 'dataset'

export interface ListedFile {
  readonly path: string
  readonly size: number
}

const modelFiles =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens)\.json$|^(vocab\.json|merges\.txt|chat_template\.(json|jinja))$|^model([-.].*)?\.safetensors(\.index\.json)?$/
const adapterFiles = /^adapter_(config\.json|model\.safetensors)$/
const dataFiles = /\.(jsonl?|csv|tsv|parquet)(\.gz)?$/
const about = /(^|\/)(dataset_infos?\.json|\.[^/]*)$/

/**
 * The files to fetch, in the order listed. `include` names files, folders, or patterns in which `*` stands for anything within
 * a folder's name; without it all that are of use. Throws NOT_FOUND, saying what the repository has instead.
 */
export function wantedFiles<F extends ListedFile>(
  kind: RepositoryKind,
  name: string,
  listed: readonly F[],
  include: readonly string[],
): F[] {
  for (const { path } of listed) requirePlainPath(name, path)
  if (include.length > 0) return included(name, listed, include)
  if (kind === 'dataset') {
    const found = listed.filter(({ path }) => dataFiles.test(path) && !about.test(path))
    return found.length > 0 ? found : nothing(name, listed, 'JSON, JSONL, CSV or Parquet')
  }
  const found = listed.filter(({ path }) => modelFiles.test(path) || adapterFiles.test(path))
  if (found.some(({ path }) => path.endsWith('.safetensors'))) return found
  const pickled = listed.some(({ path }) => /\.(bin|pt|pth)$/.test(path))
  const gguf = listed.some(({ path }) => path.endsWith('.gguf'))
  return nothing(
    name,
    listed,
    'safetensors',
    pickled
      ? 'It holds PyTorch files only: convert them with Transformers (save_pretrained), or take a revision such as refs/pr/1 that has safetensors.'
      : gguf
        ? 'It holds GGUF, which is quantised: fetch the model that it was made of.'
        : undefined,
  )
}

function included<F extends ListedFile>(name: string, listed: readonly F[], include: readonly string[]): F[] {
  const rules = include.map((pattern) => ({ pattern, rule: ruleOf(pattern) }))
  for (const { pattern, rule } of rules)
    if (!listed.some(({ path }) => rule.test(path)))
      return nothing(name, listed, `file that ${pattern} names`)
  return listed.filter(({ path }) => rules.some(({ rule }) => rule.test(path)))
}

/** A file or folder by its path; `*` is anything but a slash. */
function ruleOf(pattern: string): RegExp {
  const escaped = pattern
    .replace(/\/+$/, '')
    .split('*')
    .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${escaped.join('[^/]*')}(/.*)?$`)
}

function nothing(name: string, listed: readonly ListedFile[], what: string, hint?: string): never {
  const some = listed.slice(0, 8).map(({ path }) => path)
  const more = listed.length > some.length ? `, and ${listed.length - some.length} more` : ''
  throw new RankscopeError(
    'NOT_FOUND',
    `${name} has no ${what}: it holds ${some.join(', ') || 'nothing'}${more}`,
    {
      hint: hint ?? '--include names the files that are meant, e.g. --include "main/train-*.parquet".',
    },
  )
}

/** A path from outside becomes one on this disk: it must stay below its folder, whatever the system. */
function requirePlainPath(name: string, path: string): void {
  const isPlain =
    path !== '' &&
    !/[\\\0:]/.test(path) &&
    path.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
  if (!isPlain)
    throw new RankscopeError('HUB_FAILED', `${name} lists a file under the path ${JSON.stringify(path)}`, {
      hint: 'Such a path would lead out of the folder; nothing was fetched.',
    })
}
