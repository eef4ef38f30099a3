/** `npm run fetch`: a model or a data set by its name on the Hugging Face Hub, into a folder that runs can use. */
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { lockFolder } from '@rankscope/launch'
import { errorPayload, RankscopeError } from '@rankscope/protocol'
import {
  type Fetched,
  type FetchOrder,
  type FetchProgress,
  fetchRepository,
} from '../hub/fetch-repository.ts'
import { timeLeft } from '../run/time-left.ts'

const usage = `usage: npm run fetch -- model ORGANISATION/NAME [options]
       npm run fetch -- dataset ORGANISATION/NAME [options]

  --revision R      branch, tag or commit                       [main]
  --include PATH    only this file or folder; * stands for anything within a name; repeatable
                    [of a model: configuration, tokenizer, safetensors; of a data set: JSON, JSONL, CSV, Parquet]
  --to DIR          folder of models or data, as npm run node takes it with --models or --data; the files go
                    into DIR/ORGANISATION/NAME                  [.rankscope/hub/models, .rankscope/hub/data]
  --token T         for what is gated or private                [HF_TOKEN]
  --endpoint URL    a mirror of the Hub                         [HF_ENDPOINT, or https://huggingface.co]
  --quiet           no progress on stderr

Stopped (Ctrl-C) or cut off, the same command goes on where it was. With HF_HUB_OFFLINE=1 it refuses.

exit code: 0 fetched, 1 failed, 2 wrong arguments, 130 stopped
`

/** Between two words about progress where the output is no terminal. */
const quietMs = 10_000

function readArguments() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      revision: { type: 'string', default: 'main' },
      include: { type: 'string', multiple: true, default: [] },
      to: { type: 'string' },
      token: { type: 'string' },
      endpoint: { type: 'string' },
      quiet: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) {
    console.log(usage)
    process.exit(0)
  }
  const [kind, name, ...rest] = positionals
  if ((kind !== 'model' && kind !== 'dataset') || name === undefined || rest.length > 0)
    throw wrong('model or dataset, and one name are needed')
  // An old model of the Hub has no organisation.
  if (!/^(?!\.)[\w.-]{1,96}(\/(?!\.)[\w.-]{1,96})?$/.test(name))
    throw wrong(`${name} is not of the form ORGANISATION/NAME`)
  const given = values.endpoint ?? process.env['HF_ENDPOINT'] ?? ''
  const endpoint = (given || 'https://huggingface.co').replace(/\/+$/, '')
  if (!/^https?:\/\/[^/]/.test(endpoint)) throw wrong(`--endpoint ${endpoint} is no address`)
  if (['1', 'true', 'yes', 'on'].includes((process.env['HF_HUB_OFFLINE'] ?? '').toLowerCase()))
    throw wrong('HF_HUB_OFFLINE is set: nothing is fetched on this machine')
  const folder = resolve(values.to ?? `.rankscope/hub/${kind === 'model' ? 'models' : 'data'}`)
  return {
    quiet: values.quiet,
    folder,
    order: {
      ...{ kind, name, endpoint, revision: values.revision, include: values.include },
      token: values.token ?? process.env['HF_TOKEN'] ?? null,
      folder: join(folder, ...name.split('/')),
    } satisfies Partial<FetchOrder>,
  } as const
}

function wrong(message: string): RankscopeError {
  return new RankscopeError('OPTION_INVALID', message, { hint: 'npm run fetch -- --help shows how.' })
}

/** On a terminal a line that is written over; elsewhere one at each file and every few seconds. */
function progressTo(output: NodeJS.WriteStream): (progress: FetchProgress) => void {
  const startedMs = performance.now()
  let last = { file: '', ms: Number.NEGATIVE_INFINITY }
  return ({ file, number, files, doneBytes, totalBytes, fetchedBytes }) => {
    const now = performance.now()
    const isDue = file !== last.file || now - last.ms > (output.isTTY ? 200 : quietMs)
    if (!isDue) return
    last = { file, ms: now }
    const seconds = (now - startedMs) / 1000
    const speed = fetchedBytes > 0 ? `, ${(fetchedBytes / 1e6 / seconds).toFixed(1)} MB/s` : ''
    const toFetch = totalBytes - (doneBytes - fetchedBytes)
    const left = seconds > 2 ? timeLeft(fetchedBytes / toFetch, now - startedMs) : null
    const share = totalBytes > 0 ? Math.floor((100 * doneBytes) / totalBytes) : 100
    const text = `${number}/${files} ${file}  ${share} % of ${(totalBytes / 1e6).toFixed(1)} MB${speed}${left ? `, ${left}` : ''}`
    output.write(output.isTTY ? `\r\x1b[K${text}` : `${text}\n`)
  }
}

function report(
  { commit, files, totalBytes, fetchedBytes }: Fetched,
  order: { kind: string; name: string },
  folder: string,
): void {
  const { kind, name } = order
  console.error(
    `${name} at ${commit.slice(0, 12)}: ${files} files, ${(totalBytes / 1e6).toFixed(1)} MB, of which ${(fetchedBytes / 1e6).toFixed(1)} MB were fetched now, in ${join(folder, name)}`,
  )
  console.error(
    kind === 'model'
      ? `a node offers it with --models ${folder}; its model.path is then "${name}"`
      : `a node offers it with --data ${folder}; its files are then "${name}/…"`,
  )
}

async function main(): Promise<void> {
  const { order, folder, quiet } = readArguments()
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => stopping.abort(new Error('stopped')))
  process.once('exit', lockFolder(order.folder, { name: '.fetch.lock', option: '--to' }))
  try {
    const onProgress = quiet ? () => undefined : progressTo(process.stderr)
    const fetched = await fetchRepository({ ...order, signal: stopping.signal, onProgress })
    if (process.stderr.isTTY && !quiet) process.stderr.write('\r\x1b[K')
    report(fetched, order, folder)
  } catch (error) {
    if (!stopping.signal.aborted) throw error
    console.error('\nstopped: what was fetched stays, the same command goes on from there')
    process.exitCode = 130
  }
}

try {
  await main()
} catch (error) {
  const { code, message, hint } = errorPayload(error)
  console.error(`error ${code}: ${message}${hint === null ? '' : `\n  ${hint}`}`)
  process.exitCode = code === 'OPTION_INVALID' ? 2 : 1
}
