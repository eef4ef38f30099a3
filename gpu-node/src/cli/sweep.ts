/**
 * `npm run train -- --sweep sweep.json --out DIR`: the runs of a sweep one after the other, without a server. Each is a
 * process and a folder of its own, so that whatever ends one, the others go on; started again with the same folder, what is
 * finished stays and the rest is run. A run's folder is named by its settings: a sweep may have more values the next time.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import {
  type ArchivedRun,
  archiveFileName,
  archiveResults,
  bestTable,
  findRecipe,
  type PlannedRun,
  pointText,
  readSweep,
  recipeSweep,
  recipes,
  reportFiles,
  requireRuns,
  type SweepArchive,
  toMarkdown,
} from '@rankscope/experiments'
import { launchCommand, lockFolder, signalCodes, sourceCommit } from '@rankscope/launch'
import { RankscopeError, type RunView, type SweepSpec } from '@rankscope/protocol'
import { writeJsonFile } from '../model/save.ts'

export const sweepUsage = `npm run train -- --sweep sweep.json --out DIR [options]: many runs, one after the other

  --sweep FILE      base configuration and axes, e.g.
                    {"name": "rates", "base": {"data": …, "method": {"name": "lora"}},
                     "axes": [{"path": "optimizer.learningRate", "values": "1e-5…1e-3 log 5"},
                              {"path": "seed", "values": [1, 2, 3]}]}
  --recipe NAME     instead of --sweep: an experiment of the paper, small, with the built-in model; --recipe list
  --file KEY=PATH   for a recipe in full: what it asks for, once per file (--recipe list names them)
  --out DIR         where everything is written; the same folder again goes on where it was left
  --dry             list the runs, and start none
  --retry-failed    run again what failed or diverged
  --models, --threads, --quiet    as for one run

More values in the file bring more runs: what is there already stays.

DIR then holds sweep.json, runs/ with a folder for each, results.csv, results.md, results.tex and figures/, which are
written anew after every run. npm run sweep -- import DIR shows it on a server.

exit code: 0 every run finished, 1 some did not, 2 wrong arguments or configuration; interrupted: 130 by Ctrl-C, 143 by
SIGTERM, 129 by SIGHUP
`

interface Arguments {
  readonly spec: SweepSpec
  readonly runs: readonly PlannedRun[]
  readonly folder: string
  readonly isDry: boolean
  readonly retriesFailed: boolean
  readonly quiet: boolean
  /** For each run's process. */
  readonly passedOn: readonly string[]
}

/** The run's process under way, and the signal that ended the sweep. */
interface Child {
  running: ReturnType<typeof spawn> | null
  asked: keyof typeof signalCodes | null
}

/** Returns the exit code; throws coded errors about arguments and files. */
export async function runSweep(): Promise<number> {
  if (process.argv[process.argv.indexOf('--recipe') + 1] === 'list') {
    listRecipes()
    return 0
  }
  const { spec, runs, folder, isDry, retriesFailed, quiet, passedOn } = readArguments()
  if (isDry) {
    for (const run of runs) console.log(pointText(run.point))
    console.log(`${runs.length} runs`)
    return 0
  }
  process.once('exit', lockFolder(folder, { name: 'sweep.lock', option: '--out' }))
  mkdirSync(join(folder, 'runs'), { recursive: true })
  writeJsonFile(join(folder, 'sweep.json'), spec)
  const say = (text: string) => {
    if (!quiet) console.error(text)
  }
  const child: Child = { running: null, asked: null }
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      child.asked = signal
      child.running?.kill(signal)
    })
  const commit = sourceCommit()
  const startedMs = Date.now()
  let done = 0
  for (const [index, run] of runs.entries()) {
    const place = join(folder, 'runs', runName(run))
    const { outcome } = archiveResults({ sweep: spec, runs: [archivedIn(place, run)] })[0]!
    const isSettled = outcome !== 'pending' && (outcome === 'finished' || !retriesFailed)
    if (!isSettled) {
      const left =
        done === 0 ? '' : `, about ${minutes(((Date.now() - startedMs) / done) * (runs.length - index))} left`
      say(`── ${index + 1} of ${runs.length}: ${pointText(run.point)}${left}`)
      await runOne(place, run, passedOn, child)
      if (child.asked !== null) {
        say(`interrupted in run ${index + 1} of ${runs.length}; the same command goes on from here`)
        return signalCodes[child.asked]
      }
      done++
    }
    writeResults(folder, archiveOf(folder, spec, runs, commit))
  }
  const results = archiveResults(archiveOf(folder, spec, runs, commit))
  console.log(toMarkdown(bestTable(spec, results)))
  return results.every(({ outcome }) => outcome === 'finished') ? 0 : 1
}

function readArguments(): Arguments {
  const { values } = parseArgs({
    options: {
      sweep: { type: 'string' },
      recipe: { type: 'string' },
      file: { type: 'string', multiple: true },
      out: { type: 'string' },
      dry: { type: 'boolean' },
      'retry-failed': { type: 'boolean' },
      models: { type: 'string' },
      threads: { type: 'string' },
      quiet: { type: 'boolean' },
    },
  })
  const source = values.sweep ?? values.recipe
  if (source === undefined || (values.out === undefined && !values.dry))
    throw new RankscopeError('CONFIG_INVALID', '--sweep and --out are needed', {
      hint: 'npm run train -- --help shows how.',
    })
  const spec =
    values.recipe === undefined ? readSweep(readJson(source), source) : recipeSpec(source, values.file ?? [])
  return {
    spec,
    runs: requireRuns(spec),
    folder: resolve(values.out ?? '.'),
    isDry: values.dry ?? false,
    retriesFailed: values['retry-failed'] ?? false,
    quiet: values.quiet ?? false,
    passedOn: (['models', 'threads'] as const).flatMap((name) => {
      const value = values[name]
      return value === undefined ? [] : [`--${name}`, value]
    }),
  }
}

/** `files` are KEY=PATH: with any of them the recipe runs in full. */
function recipeSpec(name: string, files: readonly string[]): SweepSpec {
  const recipe = findRecipe(name)
  if (!recipe)
    throw new RankscopeError('NOT_FOUND', `there is no recipe ${name}`, {
      hint: `one of ${recipes.map(({ id }) => id).join(', ')}`,
    })
  const named = files.map((file) => {
    const [key, ...rest] = file.split('=')
    return [key!, rest.join('=')] as const
  })
  return recipeSweep(recipe, files.length === 0 ? 'small' : 'full', Object.fromEntries(named))
}

/** Every recipe with what it asks for in full. */
function listRecipes(): void {
  for (const { id, of, title, smallMinutes, asks } of recipes) {
    console.log(`${id.padEnd(20)} ${of}: ${title} (small: about ${smallMinutes} min on two cores)`)
    for (const { key, hint } of asks) console.log(`${''.padEnd(20)}   --file ${key}=…  ${hint}`)
  }
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    throw new RankscopeError(
      'CONFIG_UNREADABLE',
      `${file}: ${cause instanceof Error ? cause.message : cause}`,
      {
        cause,
        hint: 'Give a JSON file with name, base and axes.',
      },
    )
  }
}

/** `lora-learningRate-1e-5-3f2a91c0`: readable, and another one as soon as any setting differs. */
function runName({ point, config }: PlannedRun): string {
  const words = pointText(point)
    .replaceAll(/[^A-Za-z0-9.+-]+/g, '-')
    .slice(0, 80)
  const digest = createHash('sha256')
    .update(JSON.stringify({ ...config, name: null }))
    .digest('hex')
  return `${words}-${digest.slice(0, 8)}`
}

/** Trains one run in a process of its own; a run that was interrupted before goes on from its newest checkpoint. */
async function runOne(
  place: string,
  { config }: PlannedRun,
  passedOn: readonly string[],
  child: Child,
): Promise<void> {
  mkdirSync(place, { recursive: true })
  const file = join(place, 'run.json')
  writeJsonFile(file, config)
  const checkpoint = newestCheckpoint(place)
  const resume = checkpoint === null ? [] : ['--resume', checkpoint]
  const [program, ...args] = launchCommand(
    new URL('./train.ts', import.meta.url),
    ...['--config', file, '--out', place, '--quiet', '--no-model', ...passedOn, ...resume],
  )
  const running = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  child.running = running
  await new Promise<void>((gone, failed) => {
    running.once('exit', () => gone())
    running.once('error', failed)
  })
  child.running = null
}

/** Of a run that was interrupted; null where it has to begin anew. */
function newestCheckpoint(place: string): string | null {
  const folder = join(place, 'checkpoints')
  if (readSummary(place)?.state !== 'paused' || !existsSync(folder)) return null
  const newest = readdirSync(folder)
    .filter((name) => /^step-\d+$/.test(name))
    .sort()
    .at(-1)
  return newest === undefined ? null : join(folder, newest)
}

type Summary = Pick<RunView, 'state' | 'summary' | 'error'> & {
  steps: number
  start: { totalSteps: number } | null
}

function readSummary(place: string): Summary | null {
  const file = join(place, 'summary.json')
  return existsSync(file) ? (readJson(file) as Summary) : null
}

function archivedIn(place: string, { point, config }: PlannedRun): ArchivedRun {
  const found = readSummary(place)
  const { kind: _, ...summary } = found?.summary ?? {}
  return {
    folder: basename(place),
    point,
    config,
    state: found?.state ?? 'queued',
    steps: found?.steps ?? 0,
    totalSteps: found?.start?.totalSteps ?? null,
    createdMs: null,
    startedMs: null,
    endedMs: null,
    summary: found?.summary ? (summary as ArchivedRun['summary']) : null,
    error: found?.error ?? null,
  }
}

function archiveOf(
  folder: string,
  spec: SweepSpec,
  runs: readonly PlannedRun[],
  commit: string | null,
): SweepArchive {
  const archived = runs.map((run) => archivedIn(join(folder, 'runs', runName(run)), run))
  return { format: 'rankscope-sweep', version: 1, commit, sweep: spec, runs: archived }
}

function writeResults(folder: string, archive: SweepArchive): void {
  writeJsonFile(join(folder, archiveFileName), archive)
  mkdirSync(join(folder, 'figures'), { recursive: true })
  for (const [name, text] of Object.entries(reportFiles(archive.sweep, archiveResults(archive))))
    writeFileSync(join(folder, name), text)
}

function minutes(ms: number): string {
  return ms < 120_000 ? `${Math.ceil(ms / 1000)} s` : `${Math.ceil(ms / 60_000)} min`
}
