/**
 * `npm run bench -- recipes`: runs every recipe at small scale from end to end, and tells how long each takes.
 *
 * Options: --only A,B (ids; the rest of the table stays as it was measured), --except A,B, --threads (all), --docs docs,
 * --out bench/results/recipes (a folder for each recipe; started again, what is finished there is not run again, and its
 * time is kept), --steps N (ends each run after so many steps, with as many examples to score: whether every recipe runs,
 * in a fifth of the time; writes no page).
 *
 * The clock also measures what else the machine does; processor time, of all processes of a recipe together, does not.
 * Writes the section "recipes" of docs/recipes.md. Exit code 1 where a run of a recipe did not finish. Ctrl-C and SIGTERM end
 * it with a checkpoint of the run under way, with what was done so far, and without the page: the same command goes on.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  archiveFileName,
  archiveResults,
  expandSweep,
  type Recipe,
  recipeSweep,
  recipes,
  sweepArchiveSchema,
} from '@rankscope/experiments'
import { launchCommand, runBelow, signalCodes } from '@rankscope/launch'
import { machineLine } from './output/machine.ts'
import { markdownTable, replaceSection } from './output/markdown.ts'

interface Measured {
  readonly runs: number
  readonly finished: number
  readonly wallMinutes: number
  readonly processorMinutes: number
}

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    except: { type: 'string' },
    threads: { type: 'string', default: String(availableParallelism()) },
    docs: { type: 'string', default: join(import.meta.dirname, '../docs') },
    out: { type: 'string', default: join(import.meta.dirname, 'results/recipes') },
    steps: { type: 'string' },
  },
})
const ids = (text: string | undefined) => text?.split(',') ?? []
const chosen = recipes.filter(
  ({ id }) =>
    (options.only === undefined || ids(options.only).includes(id)) && !ids(options.except).includes(id),
)
if (chosen.length === 0) throw new Error(`no such recipe; known: ${recipes.map(({ id }) => id).join(', ')}`)

mkdirSync(options.out, { recursive: true })
const file = join(options.out, 'measured.json')
const measured: Record<string, Measured> = existsSync(file)
  ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, Measured>)
  : {}
for (const [index, recipe] of chosen.entries()) {
  const { asked, ...found } = await measure(recipe, measured[recipe.id])
  measured[recipe.id] = found
  writeFileSync(file, `${JSON.stringify(measured, null, 2)}\n`)
  console.error(
    `${recipe.id}: ${found.finished} of ${found.runs} runs, ${found.processorMinutes.toFixed(1)} processor minutes, ${found.wallMinutes.toFixed(1)} by the clock`,
  )
  if (asked !== null) {
    console.error(
      `${asked}: ended in recipe ${index + 1} of ${chosen.length}; the same command goes on from here`,
    )
    process.exit(signalCodes[asked])
  }
}
const table = markdownTable(
  ['recipe', 'of the paper', 'what is compared', 'runs', 'processor minutes', 'minutes'],
  recipes.map((recipe) => row(recipe, measured[recipe.id])),
  [0, 1, 2],
)
const where = machineLine(`${options.threads} threads`)
if (options.steps === undefined)
  replaceSection(join(options.docs, 'recipes.md'), 'recipes', `${where}\n\n${table}`)
console.log(table)
const broken = chosen.filter(({ id }) => measured[id]!.finished < measured[id]!.runs)
for (const { id } of broken)
  console.error(`${id}: ${measured[id]!.runs - measured[id]!.finished} runs did not finish`)
process.exitCode = broken.length > 0 ? 1 : 0

async function measure(recipe: Recipe, before: Measured | undefined) {
  const { id } = recipe
  const out = join(options.out, id)
  const started = { wallMs: performance.now(), processorSeconds: childSeconds() }
  const command = launchCommand(
    new URL('../gpu-node/src/cli/train.ts', import.meta.url),
    ...[...named(recipe), '--out', out, '--threads', options.threads],
  )
  const { code, asked: signal } = await runBelow(command, ['ignore', 'ignore', 'inherit'])
  if (signal === null && code !== 0 && code !== 1) throw new Error(`${id} ended with exit code ${code}`)
  const archived = join(out, archiveFileName)
  // Not there where the first run of the recipe was interrupted.
  const results = existsSync(archived)
    ? archiveResults(sweepArchiveSchema.parse(JSON.parse(readFileSync(archived, 'utf8'))))
    : []
  return {
    asked: signal,
    runs: expandSweep(recipe.small()).runs.length,
    finished: results.filter(({ outcome }) => outcome === 'finished').length,
    wallMinutes: (before?.wallMinutes ?? 0) + (performance.now() - started.wallMs) / 60_000,
    processorMinutes: (before?.processorMinutes ?? 0) + (childSeconds() - started.processorSeconds) / 60,
  }
}

/** How the recipe is named to npm run train: as it is, or as a file of the same with fewer steps. */
function named(recipe: Recipe): string[] {
  if (options.steps === undefined) return ['--recipe', recipe.id]
  const steps = Number(options.steps)
  const { base, ...rest } = recipeSweep(recipe, 'small')
  const { training, evaluation } = base as { training: object; evaluation: object }
  const shorter = {
    ...base,
    training: { ...training, maxSteps: steps },
    evaluation: { ...evaluation, examples: steps, maxNewTokens: 4 },
  }
  const place = join(options.out, `${recipe.id}.json`)
  writeFileSync(place, JSON.stringify({ ...rest, base: shorter }))
  return ['--sweep', place]
}

/** Processor time of all processes that were started here and are over, with theirs; 0 where the system does not tell. */
function childSeconds(): number {
  if (!existsSync('/proc/self/stat')) return 0
  // Behind the name, which may hold anything: the state is field 3, cutime and cstime are 16 and 17, in hundredths.
  const fields = readFileSync('/proc/self/stat', 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[13]) + Number(fields[14])) / 100
}

/** A recipe that was not measured, or not to its end, has dashes. */
function row({ id, of, compare, small }: Recipe, last: Measured | undefined): string[] {
  const found = last && last.finished === last.runs ? last : undefined
  const minutes = (value: number) => (value < 10 ? value.toFixed(1) : value.toFixed(0))
  return [
    `\`${id}\``,
    of,
    compare,
    String(expandSweep(small()).runs.length),
    found && found.processorMinutes > 0 ? minutes(found.processorMinutes) : '–',
    found ? minutes(found.wallMinutes) : '–',
  ]
}
