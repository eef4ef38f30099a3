/** Against a stand-in for the Hub on this machine: its routes, its headers, its redirects, and connections that break. */
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type FetchOrder, fetchRepository, originFile } from './fetch-repository.ts'
import { wantedFiles } from './wanted-files.ts'

const commit = 'c0ffee'.padEnd(40, '0')
const large = Buffer.alloc(300_000, 'weights ')
const files: Record<string, Buffer> = {
  'config.json': Buffer.from('{"model_type": "llama"}'),
  'tokenizer.json': Buffer.from('{}'),
  'model.safetensors': large,
  'pytorch_model.bin': Buffer.from('pickled'),
  'README.md': Buffer.from('# A model'),
  'original/consolidated.pth': Buffer.from('other'),
}
const gitHash = (bytes: Buffer) =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

describe('fetching from the Hub', () => {
  let folder = ''
  let server: Server
  let endpoint = ''
  /** What was asked for, `GET path range`. */
  let asked: string[] = []
  /** Bytes of large files after which the connection breaks, once each. */
  let breaks: number[] = []
  let served = files
  let listedPaths: string[] | null = null
  let status = 200

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-hub-'))
    asked = []
    breaks = []
    served = files
    listedPaths = null
    status = 200
    server = createServer((request, response) => {
      const url = new URL(request.url!, endpoint)
      const range = request.headers.range ?? ''
      asked.push(`${url.pathname} ${range}`.trim())
      const authorised = request.headers.authorization === 'Bearer hf_right'
      if (status !== 200 || (url.pathname.includes('gated') && !authorised)) {
        const code = status === 200 ? 401 : status
        response
          .writeHead(code, { 'content-type': 'application/json' })
          .end('{"error": "Access is restricted"}')
        return
      }
      answer(url, range, response)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterEach(() => {
    server.closeAllConnections()
    server.close()
    rmSync(folder, { recursive: true, force: true })
  })

  function answer(url: URL, range: string, response: ServerResponse): void {
    const json = (value: unknown) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))
    const { pathname } = url
    if (/\/api\/models\/[\w/]+\/revision\/main$/.test(pathname))
      return void json({ _id: '1', id: 'org/small', sha: commit, lastModified: '2026-01-01T00:00:00Z' })
    if (pathname.includes(`/tree/${commit}`))
      return void json(
        (listedPaths ?? Object.keys(files)).map((path) => {
          const bytes = files[path] ?? Buffer.from('x')
          const isLarge = bytes.length > 1000
          return {
            ...{ type: 'file', path, size: bytes.length, oid: gitHash(bytes) },
            ...(isLarge && { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 134 } }),
          }
        }),
      )
    const [, path] = /\/resolve\/[^/]+\/(.+)$/.exec(pathname) ?? []
    const bytes = path === undefined ? undefined : served[path]
    if (!bytes) return void response.writeHead(404, { 'content-type': 'application/json' }).end('{}')
    const [, first = '0', last] = /bytes=(\d+)-(\d+)?/.exec(range) ?? []
    const part = bytes.subarray(Number(first), last === undefined ? bytes.length : Number(last) + 1)
    response.writeHead(range === '' ? 200 : 206, {
      etag: `"${sha256(bytes)}"`,
      'content-length': part.length,
      ...(range !== '' && {
        'content-range': `bytes ${first}-${Number(first) + part.length - 1}/${bytes.length}`,
      }),
    })
    const cut = part.length > 1000 ? breaks.shift() : undefined
    if (cut === undefined) return void response.end(part)
    response.write(part.subarray(0, cut), () => response.destroy())
  }

  const order = (changed: Partial<FetchOrder> = {}): FetchOrder => ({
    ...{ kind: 'model', name: 'org/small', revision: 'main', token: null, endpoint, include: [], folder },
    signal: new AbortController().signal,
    onProgress: () => undefined,
    ...changed,
  })
  const bodies = () => asked.filter((line) => line.includes('/resolve/') && !line.endsWith('bytes=0-0'))

  it('takes what a model needs of one commit, and nothing else; again it takes nothing', async () => {
    const first = await fetchRepository(order())
    expect(first).toMatchObject({ commit, files: 3, fetchedBytes: first.totalBytes })
    expect(readdirSync(folder).sort()).toEqual(
      ['config.json', 'model.safetensors', 'tokenizer.json', originFile].sort(),
    )
    expect(readFileSync(join(folder, 'model.safetensors')).equals(large)).toBe(true)
    expect(JSON.parse(readFileSync(join(folder, originFile), 'utf8'))).toMatchObject({
      name: 'org/small',
      commit,
    })
    expect(bodies().every((line) => line.includes(commit))).toBe(true)
    asked = []
    expect(await fetchRepository(order())).toMatchObject({ files: 3, fetchedBytes: 0 })
    expect(bodies()).toEqual([])
  })

  it('goes on where a connection broke, and where an earlier call was stopped', async () => {
    breaks = [100_000]
    await fetchRepository(order())
    expect(readFileSync(join(folder, 'model.safetensors')).equals(large)).toBe(true)
    const ranges = bodies().filter((line) => line.includes('model.safetensors'))
    expect(ranges.at(-1)).toMatch(/bytes=\d{2,}-299999$/)

    rmSync(join(folder, 'model.safetensors'))
    const stopping = new AbortController()
    const stopped = fetchRepository(
      order({
        signal: stopping.signal,
        onProgress: ({ fetchedBytes }) => fetchedBytes > 0 && stopping.abort(new Error('stopped')),
      }),
    )
    await expect(stopped).rejects.toThrow('stopped')
    expect(existsSync(join(folder, 'model.safetensors'))).toBe(false)
    await fetchRepository(order())
    expect(readFileSync(join(folder, 'model.safetensors')).equals(large)).toBe(true)
    expect(readdirSync(folder).filter((name) => name.endsWith('.partial'))).toEqual([])
  })

  it('gives up after some tries without a byte, and says what stays', async () => {
    breaks = [0, 0, 0, 0]
    await expect(fetchRepository(order())).rejects.toMatchObject({
      code: 'HUB_FAILED',
      message: expect.stringContaining('model.safetensors'),
      hint: expect.stringContaining('goes on from there'),
    })
  })

  it('keeps nothing that is not what the Hub listed', async () => {
    served = { ...files, 'model.safetensors': Buffer.alloc(300_000, 'other ') }
    await expect(fetchRepository(order())).rejects.toMatchObject({
      code: 'HUB_FAILED',
      message: expect.stringContaining('does not have the sha256 hash'),
    })
    expect(readdirSync(folder).filter((name) => name.startsWith('model.'))).toEqual([])
    // What came before it stays.
    rmSync(join(folder, 'tokenizer.json'))
    served = { ...files, 'tokenizer.json': Buffer.from('[]') }
    await expect(fetchRepository(order())).rejects.toThrow('does not have the git hash')
    writeFileSync(join(folder, 'config.json'), 'edited by hand')
    served = files
    await fetchRepository(order())
    expect(readFileSync(join(folder, 'config.json'))).toEqual(files['config.json'])
  })

  it('names what is refused: no token, a wrong name, no answer', async () => {
    await expect(fetchRepository(order({ name: 'org/gated' }))).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      hint: expect.stringContaining('HF_TOKEN'),
    })
    await expect(fetchRepository(order({ name: 'org/gated', token: 'hf_wrong' }))).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
    })
    expect(await fetchRepository(order({ name: 'org/gated', token: 'hf_right' }))).toMatchObject({ files: 3 })
    await expect(fetchRepository(order({ token: 'secret' }))).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      message: expect.not.stringContaining('secret'),
    })
    await expect(fetchRepository(order({ revision: 'no-such' }))).rejects.toMatchObject({ code: 'NOT_FOUND' })
    status = 503
    await expect(fetchRepository(order())).rejects.toMatchObject({ code: 'HUB_FAILED' })
    await expect(fetchRepository(order({ endpoint: 'http://127.0.0.1:9' }))).rejects.toMatchObject({
      code: 'HUB_FAILED',
      message: expect.stringContaining('cannot be reached'),
    })
  })

  it.each(['../outside', 'a/../../outside', '/etc/passwd', 'a\\b', 'C:x', 'a//b'])(
    'does not follow the path %s out of its folder',
    async (path) => {
      listedPaths = [...Object.keys(files), path]
      await expect(fetchRepository(order())).rejects.toMatchObject({ code: 'HUB_FAILED' })
      expect(readdirSync(folder)).toEqual([])
    },
  )
})

describe('the files of a repository that are of use', () => {
  const listed = (...paths: string[]) => paths.map((path) => ({ path, size: 1 }))
  const paths = (...args: Parameters<typeof wantedFiles>) => wantedFiles(...args).map(({ path }) => path)

  it('are shards with their index, of an adapter its two files', () => {
    const shards = [
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
      'model.safetensors.index.json',
    ]
    expect(
      paths('model', 'm', listed('config.json', ...shards, 'onnx/model.safetensors', 'model.gguf'), []),
    ).toEqual(['config.json', ...shards])
    const adapter = ['adapter_config.json', 'adapter_model.safetensors']
    expect(paths('model', 'm', listed(...adapter, 'README.md'), [])).toEqual(adapter)
  })

  it('are data files, or those that are named', () => {
    const data = listed(
      'data/train-0.parquet',
      'data/test.jsonl.gz',
      'README.md',
      'dataset_infos.json',
      '.gitattributes',
    )
    expect(paths('dataset', 'd', data, [])).toEqual(['data/train-0.parquet', 'data/test.jsonl.gz'])
    expect(paths('dataset', 'd', data, ['data/train-*'])).toEqual(['data/train-0.parquet'])
    expect(paths('dataset', 'd', data, ['data/', 'README.md'])).toHaveLength(3)
    expect(() => paths('dataset', 'd', data, ['train*'])).toThrow('no file that train* names')
  })

  it('say what else there is where there are none', () => {
    expect(() => paths('model', 'm', listed('config.json', 'pytorch_model.bin'), [])).toThrow(
      'no safetensors: it holds config.json, pytorch_model.bin',
    )
    expect(() => paths('dataset', 'd', [], [])).toThrow('it holds nothing')
  })
})
