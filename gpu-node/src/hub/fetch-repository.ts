/**
 * Models and data sets by name, from the Hugging Face Hub or a mirror of it, into a folder: one commit of the repository, each
 * file checked against the hash that the Hub lists, under its name only when it is whole. What was begun is gone on with.
 */
import { createHash } from 'node:crypto'
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import { datasetInfo, downloadFile, HubApiError, listFiles, modelInfo } from '@huggingface/hub'
import { RankscopeError, systemError } from '@rankscope/protocol'
import { type ListedFile, type RepositoryKind, wantedFiles } from './wanted-files.ts'

export interface FetchOrder {
  readonly kind: RepositoryKind
  /** `organisation/name`. */
  readonly name: string
  /** Branch, tag or commit. */
  readonly revision: string
  /** Null for what everyone may read. */
  readonly token: string | null
  readonly endpoint: string
  readonly include: readonly string[]
  readonly folder: string
  readonly signal: AbortSignal
  onProgress(progress: FetchProgress): void
}

export interface FetchProgress {
  readonly file: string
  /** Which of how many, from 1. */
  readonly number: number
  readonly files: number
  /** Over all files, what was there before included. */
  readonly doneBytes: number
  readonly totalBytes: number
  /** Fetched by this call. */
  readonly fetchedBytes: number
}

export interface Fetched {
  /** The commit that `revision` named. */
  readonly commit: string
  readonly files: number
  readonly totalBytes: number
  readonly fetchedBytes: number
}

interface HubFile extends ListedFile {
  /** Of large files by SHA-256, of small ones git's own hash. */
  readonly hash: { readonly kind: 'sha256' | 'git'; readonly value: string }
}

/** In the folder: which commit its files are of. */
export const originFile = 'hub-origin.json'

/** How often a broken connection is taken up again without a byte gained. */
const fruitlessTries = 3
const attemptMs = 1000

/**
 * Throws UNAUTHORIZED (no or a wrong token, terms that were not accepted), NOT_FOUND (no such repository, revision or file),
 * HUB_FAILED (not reached, or other bytes than announced) and DISK_FULL. Aborted it throws the signal's reason; what was
 * fetched stays for the next call.
 */
export async function fetchRepository(order: FetchOrder): Promise<Fetched> {
  const { kind, name, folder } = order
  if (order.token !== null && !order.token.startsWith('hf_'))
    throw new RankscopeError('UNAUTHORIZED', 'the token is none of the Hub: those begin with hf_', {
      hint: 'Copy it again from the settings of your account, access tokens.',
    })
  const repo = { type: kind, name } as const
  const at = {
    hubUrl: order.endpoint,
    fetch: fetchUntil(order.signal),
    ...(order.token && { accessToken: order.token }),
  }
  const commit = await told(order, async () => {
    const question = { name, revision: order.revision, ...at }
    const { sha } =
      kind === 'model'
        ? await modelInfo({ ...question, additionalFields: ['sha'] })
        : await datasetInfo({ ...question, additionalFields: ['sha'] })
    return sha
  })
  const listed = await told(order, async () => {
    const files: HubFile[] = []
    for await (const entry of listFiles({ repo, recursive: true, revision: commit, ...at }))
      if (entry.type === 'file') files.push(hubFile(entry))
    return files
  })
  const wanted = wantedFiles(kind, name, listed, order.include)
  const totalBytes = wanted.reduce((sum, { size }) => sum + size, 0)
  mkdirSync(folder, { recursive: true })
  requireRoom(folder, wanted)

  let doneBytes = 0
  let fetchedBytes = 0
  for (const [index, file] of wanted.entries()) {
    const to = join(folder, file.path)
    const tell = (had: number) =>
      order.onProgress({
        ...{ file: file.path, number: index + 1, files: wanted.length },
        ...{ doneBytes: doneBytes + had, totalBytes, fetchedBytes },
      })
    tell(0)
    if (!(await isWhole(to, file))) {
      const blob = () =>
        told(order, async () => {
          const found = await downloadFile({ repo, path: file.path, revision: commit, ...at })
          if (found && found.size === file.size) return found
          throw failed(
            `${name}: ${file.path} is announced with ${file.size} bytes and has ${found?.size ?? 'none'}`,
          )
        })
      await fetchFile(order, file, to, blob, (bytes, had) => {
        fetchedBytes += bytes
        tell(had)
      })
    }
    doneBytes += file.size
  }
  writeFileSync(
    join(folder, originFile),
    `${JSON.stringify({ kind, name, revision: order.revision, commit, endpoint: order.endpoint }, null, 2)}\n`,
  )
  return { commit, files: wanted.length, totalBytes, fetchedBytes }
}

/** Into a file beside, whose length says where to go on; it takes its name when the hash is right. */
async function fetchFile(
  order: FetchOrder,
  file: HubFile,
  to: string,
  open: () => Promise<Blob>,
  onBytes: (bytes: number, had: number) => void,
): Promise<void> {
  // Named by its hash: the beginning of another version is not gone on with.
  const partial = `${to}.${file.hash.value.slice(0, 12)}.partial`
  mkdirSync(dirname(to), { recursive: true })
  const length = () => (existsSync(partial) ? statSync(partial).size : 0)
  if (length() > file.size) rmSync(partial)
  for (let tries = 0; length() < file.size || (file.size === 0 && !existsSync(partial)); ) {
    const from = length()
    let had = from
    try {
      const blob = await open()
      const body = (from === 0 ? blob : blob.slice(from)).stream() as ReadableStream
      const counting = async function* (chunks: AsyncIterable<Uint8Array>) {
        for await (const chunk of chunks) {
          had += chunk.length
          if (had > file.size) throw failed(`${order.name}: ${file.path} is longer than announced`)
          onBytes(chunk.length, had)
          yield chunk
        }
      }
      await pipeline(Readable.fromWeb(body), counting, createWriteStream(partial, { flags: 'a' }), {
        signal: order.signal,
      })
      if (had < file.size) throw new Error(`the connection ended after ${had} of ${file.size} bytes`)
    } catch (error) {
      order.signal.throwIfAborted()
      if (error instanceof RankscopeError || systemError(error)?.code === 'DISK_FULL') throw error
      tries = length() > from ? 0 : tries + 1
      if (tries >= fruitlessTries) throw failed(`${order.name}: ${file.path}: ${reasonOf(error)}`, error)
      await new Promise((resolve) => setTimeout(resolve, attemptMs * tries))
    }
  }
  if ((await hashOf(partial, file)) !== file.hash.value) {
    rmSync(partial)
    throw failed(`${order.name}: ${file.path} does not have the ${file.hash.kind} hash that the Hub lists`)
  }
  renameSync(partial, to)
}

async function isWhole(path: string, file: HubFile): Promise<boolean> {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat?.isFile() === true && stat.size === file.size && (await hashOf(path, file)) === file.hash.value
}

async function hashOf(path: string, { hash: { kind }, size }: HubFile): Promise<string> {
  const hash = createHash(kind === 'sha256' ? 'sha256' : 'sha1')
  if (kind === 'git') hash.update(`blob ${size}\0`)
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

function hubFile(entry: {
  path: string
  size: number
  oid?: string
  lfs?: { oid: string; size: number }
}): HubFile {
  const { path, lfs } = entry
  return lfs
    ? { path, size: lfs.size, hash: { kind: 'sha256', value: lfs.oid.replace(/^sha256:/, '') } }
    : { path, size: entry.size, hash: { kind: 'git', value: entry.oid ?? '' } }
}

function requireRoom(folder: string, files: readonly HubFile[]): void {
  const needed = files.reduce((sum, { path, size }) => {
    const there = statSync(join(folder, path), { throwIfNoEntry: false })?.size ?? 0
    return sum + Math.max(0, size - there)
  }, 0)
  const { bavail, bsize } = statfsSync(folder)
  if (needed > bavail * bsize)
    throw new RankscopeError(
      'DISK_FULL',
      `${folder}: ${gibibytes(needed)} are to be fetched, ${gibibytes(bavail * bsize)} are free`,
      { hint: 'Make room, or name another folder with --to.' },
    )
}

const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`

function fetchUntil(signal: AbortSignal): typeof fetch {
  return (input, init) => fetch(input, { ...init, signal })
}

/** A question to the Hub, its refusals in our words. */
async function told<T>(
  { kind, name, revision, token, endpoint, signal }: FetchOrder,
  ask: () => Promise<T>,
): Promise<T> {
  try {
    return await ask()
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof RankscopeError) throw error
    const what = `${kind} ${name}, revision ${revision}`
    if (!(error instanceof HubApiError))
      throw failed(`${endpoint} cannot be reached: ${reasonOf(error)}`, error)
    switch (error.statusCode) {
      case 401:
      case 403:
        throw new RankscopeError(
          'UNAUTHORIZED',
          `${what}: the Hub refuses (${error.statusCode}): ${error.message}`,
          {
            cause: error,
            hint: token
              ? 'Does the token belong to an account that has accepted the terms on the repository’s page?'
              : 'It may be gated, private or misspelt: accept its terms on its page and give a token, HF_TOKEN or --token.',
          },
        )
      case 404:
        throw new RankscopeError('NOT_FOUND', `${what}: the Hub does not have it`, {
          cause: error,
          hint: `Is it a ${kind === 'model' ? 'data set' : 'model'}, or the revision misspelt? Private ones need a token.`,
        })
      default:
        throw failed(`${what}: the Hub answered ${error.statusCode}: ${error.message}`, error)
    }
  }
}

function failed(message: string, cause?: unknown): RankscopeError {
  return new RankscopeError('HUB_FAILED', message, {
    ...(cause === undefined ? {} : { cause }),
    hint: 'What was fetched stays: the same command goes on from there. HF_ENDPOINT or --endpoint names a mirror.',
  })
}

/** fetch hides what happened in the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message || String(error.cause) : error.message
}
