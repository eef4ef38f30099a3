/**
 * `npm run sweep`: takes a sweep from a server into a folder, or from a folder (or zip) onto a server. The folder is the
 * one of experiments/src/sweep-archive.ts, which `npm run train -- --sweep` writes too.
 */
import {
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve, sep } from 'node:path'
import { Readable } from 'node:stream'
import { parseArgs } from 'node:util'
import { archiveFileName } from '@rankscope/experiments'
import { RankscopeError } from '@rankscope/protocol'
import { unzipped, type ZippedFile, zipped } from '../server/src/sweeps/zip.ts'
import { ApiClient } from './api-client.ts'
import { fail } from './stack-command.ts'

const usage = `usage: npm run sweep -- export SWEEP --to DIR [options]
       npm run sweep -- import DIR|FILE.zip [options]

  SWEEP           the last part of the address of the sweep's page
  --to DIR        a new or empty folder: configurations, metrics, spectra, tables, figures, the commit
  --server URL    [http://127.0.0.1:7777]
  --token T       what browsers show   [RANKSCOPE_TOKEN, or the one in the state folder]
  --state DIR     of the server, where it runs here   [.rankscope]
`

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      to: { type: 'string' },
      server: { type: 'string' },
      token: { type: 'string' },
      state: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  const [word, subject] = positionals
  if (values.help || subject === undefined) {
    console.log(usage)
    if (!values.help) process.exitCode = 2
    return
  }
  const api = new ApiClient(
    values.server ?? 'http://127.0.0.1:7777',
    values.token ?? process.env['RANKSCOPE_TOKEN'] ?? keptToken(values.state ?? '.rankscope'),
  )
  if (word === 'export' && values.to !== undefined) await take(api, subject, resolve(values.to))
  else if (word === 'import') await bring(api, resolve(subject))
  else {
    console.error(usage)
    process.exitCode = 2
  }
}

function keptToken(state: string): string {
  const file = join(state, 'server', 'browser-token')
  if (!existsSync(file))
    throw new RankscopeError('UNAUTHORIZED', `there is no ${file}`, {
      hint: 'give --token, or --state with the folder of the server',
    })
  return readFileSync(file, 'utf8').trim()
}

async function take(api: ApiClient, sweepId: string, folder: string): Promise<void> {
  if (existsSync(folder) && readdirSync(folder).length > 0)
    throw new RankscopeError('FILE_UNUSABLE', `${folder} is not empty`, { hint: 'name a new folder' })
  let count = 0
  for await (const { path, content } of unzipped(await api.sweepArchive(sweepId))) {
    const place = resolve(folder, path)
    if (!place.startsWith(folder + sep))
      throw new RankscopeError('MESSAGE_INVALID', `the zip holds ${path}, which leads out of the folder`)
    mkdirSync(dirname(place), { recursive: true })
    writeFileSync(place, content)
    count++
  }
  console.log(`${count} files in ${folder}`)
}

async function bring(api: ApiClient, place: string): Promise<void> {
  if (!existsSync(place)) throw new RankscopeError('FILE_UNUSABLE', `there is no ${place}`)
  const zip = statSync(place).isDirectory() ? zipped(filesOf(place)) : createReadStream(place)
  const sweep = await api.importSweep(Readable.from(zip, { objectMode: false }))
  console.log(`${sweep.runs.length} runs of “${sweep.spec.name}”: /sweeps/${sweep.sweepId}`)
}

/** What an archive knows, the description first. */
async function* filesOf(folder: string): AsyncGenerator<ZippedFile> {
  const first = join(folder, archiveFileName)
  if (!existsSync(first))
    throw new RankscopeError('FILE_UNUSABLE', `${folder} has no ${archiveFileName}`, {
      hint: 'name the folder of npm run sweep -- export, or of npm run train -- --sweep after its first run',
    })
  yield { path: archiveFileName, content: readFileSync(first) }
  const runs = join(folder, 'runs')
  for (const run of existsSync(runs) ? readdirSync(runs).sort() : [])
    for (const name of readdirSync(join(runs, run)).sort())
      if (name.endsWith('.jsonl'))
        yield { path: `runs/${run}/${name}`, content: readFileSync(join(runs, run, name)) }
}

main().catch(fail)
