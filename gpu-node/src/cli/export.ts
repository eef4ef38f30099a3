/** `npm run export`: what a checkpoint or a finished run trained, written as a model, an adapter, or ΔW, at any later time. */
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import {
  type ExportOutlook,
  type ExportRequest,
  errorPayload,
  exportForms,
  exportRequestSchema,
  parseOrThrow,
  RankscopeError,
} from '@rankscope/protocol'
import { listCheckpoints } from '../checkpoint-folders.ts'
import { usableMemoryBytes } from '../daemon/offerings.ts'
import { executeExport } from '../run/execute-export.ts'
import { ProgressLine } from './progress-line.ts'

const usage = `usage: npm run export -- --run DIR | --checkpoint DIR  --as FORM --out DIR [options]

  --run DIR         what npm run train wrote, or a run's folder on a node; its newest checkpoint is taken
  --checkpoint DIR  one checkpoint, e.g. OUT/checkpoints/step-00000100
  --as FORM         model    the merged model as a Hugging Face folder
                    adapter  a PEFT adapter: LoRA, DoRA, HiRA; PiSSA as LoRA of rank 2r; HD-PiSSA's first-order
                             part (trained with method.attribution) as LoRA of rank 2Kr
                    lora     the best PEFT LoRA adapter of a rank, of any method: a truncated SVD of ΔW
                    delta    ΔW of every target module, float32
                    outlook  writes nothing: what each of the others would lose
  --out DIR         a folder that is not there yet
  --dtype TYPE      of --as model: float32, bfloat16, float16   [float32]
  --shard-gib N     of --as model: largest size of one file     [a single file]
  --rank N          of --as lora: the rank, or …
  --energy SHARE    … the share of ‖ΔW‖_F² to keep in every module, e.g. 0.99
  --base NAME       of adapters: what adapter_config.json names as the base   [the model's folder]
  --models DIR      folder in which model names are looked up   [the models of the repository]
  --threads N       processor threads                           [all cores]
  --quiet           no progress on stderr

exit code: 0 written, 1 failed, 2 wrong arguments
`

/** Which options belong to which form: one that would have no effect is refused. */
const optionsOf = {
  model: ['dtype', 'shard-gib'],
  adapter: ['base'],
  lora: ['rank', 'energy', 'base'],
  delta: [],
  outlook: [],
} as const satisfies Record<ExportRequest['as'], readonly string[]>

function readArguments() {
  const { values } = parseArgs({
    options: {
      run: { type: 'string' },
      checkpoint: { type: 'string' },
      as: { type: 'string' },
      out: { type: 'string' },
      dtype: { type: 'string' },
      'shard-gib': { type: 'string' },
      rank: { type: 'string' },
      energy: { type: 'string' },
      base: { type: 'string' },
      models: { type: 'string' },
      threads: { type: 'string' },
      quiet: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) {
    console.log(usage)
    process.exit(0)
  }
  const form = exportForms.find((name) => name === values.as)
  if (form === undefined)
    throw wrong(values.as === undefined ? '--as is needed' : `--as ${values.as}: there is no such form`)
  if ((values.run === undefined) === (values.checkpoint === undefined))
    throw wrong('either --run or --checkpoint is needed')
  if ((form === 'outlook') !== (values.out === undefined))
    throw wrong(form === 'outlook' ? '--out has no effect: an outlook writes nothing' : '--out is needed')
  for (const option of ['dtype', 'shard-gib', 'rank', 'energy', 'base'] as const)
    if (values[option] !== undefined && !(optionsOf[form] as readonly string[]).includes(option))
      throw wrong(`--${option} has no effect on --as ${form}`)
  const number = (text: string | undefined) => (text === undefined ? undefined : Number(text))
  const raw = {
    as: form,
    ...(values.dtype !== undefined && { dtype: values.dtype }),
    ...(values['shard-gib'] !== undefined && { shardGib: number(values['shard-gib']) }),
    ...(values.rank !== undefined && { rank: number(values.rank) }),
    ...(values.energy !== undefined && { energy: number(values.energy) }),
    ...(values.base !== undefined && { baseModel: values.base }),
  }
  const threads = Number(values.threads ?? availableParallelism())
  if (!Number.isInteger(threads) || threads < 1)
    throw wrong(`--threads ${values.threads}: a whole number from 1 on is needed`)
  return {
    request: parseOrThrow(exportRequestSchema, raw, 'CONFIG_INVALID', `--as ${form}`),
    checkpoint: values.checkpoint === undefined ? newestIn(resolve(values.run!)) : resolve(values.checkpoint),
    folder: resolve(values.out ?? '.'),
    models: resolve(values.models ?? join(import.meta.dirname, '../../../models')),
    threads,
    quiet: values.quiet,
  }
}

function wrong(message: string): RankscopeError {
  return new RankscopeError('CONFIG_INVALID', message, { hint: 'npm run export -- --help shows how.' })
}

function newestIn(run: string): string {
  const [newest] = listCheckpoints([join(run, 'checkpoints')])
  if (newest) return newest.path
  throw new RankscopeError(
    existsSync(run) ? 'CHECKPOINT_BROKEN' : 'NOT_FOUND',
    existsSync(run) ? `${run} has no checkpoint` : `there is no folder ${run}`,
    { hint: 'A run leaves one at its end unless checkpoint.atEnd is false, and when it is paused.' },
  )
}

async function main(): Promise<void> {
  const { request, checkpoint, folder, models, threads, quiet } = readArguments()
  const line = quiet ? null : new ProgressLine(process.stderr)
  const roots = { models: [models], data: [], anywhere: true }
  const memoryBytes = usableMemoryBytes()
  const order = { checkpoint, request, folder, roots, threads, memoryBytes }
  const result = await executeExport(order, (progress, detail) =>
    line?.show({ kind: 'phase', phase: 'exporting', progress, detail }),
  )
  line?.end()
  for (const note of result.notes) console.error(note)
  if (result.outlook) console.log(describeOutlook(result.outlook))
  if (result.written)
    console.error(
      `step ${result.step} as ${request.as}: ${result.written.path} (${(result.written.bytes / 2 ** 20).toFixed(1)} MiB)`,
    )
}

function describeOutlook({ modules, frobenius, survives, byRank, byEnergy }: ExportOutlook): string {
  const percent = (share: number) => `${(100 * share).toFixed(2)} %`
  const kept = survives
    ? [
        `of the changed entries a save in bfloat16 keeps ${percent(survives.bfloat16)}, in float16 ${percent(survives.float16)}`,
      ]
    : ['no entry has changed']
  return [
    `‖ΔW‖_F ${frobenius.toPrecision(4)} over ${modules} modules`,
    ...kept,
    'rank    left out of ΔW   of the worst module',
    ...byRank.map(
      ({ rank, error, worst, module }) =>
        `${String(rank).padEnd(8)}${error.toExponential(2).padEnd(17)}${worst.toExponential(2)} (${module})`,
    ),
    ...byEnergy.map(({ energy, rank }) => `energy ${energy}: rank ${rank}`),
  ].join('\n')
}

try {
  await main()
} catch (error) {
  const { code, message, hint } = errorPayload(error)
  console.error(`error ${code}: ${message}${hint === null ? '' : `\n  ${hint}`}`)
  process.exitCode = ['CONFIG_INVALID', 'NOT_FOUND', 'OPTION_INVALID'].includes(code) ? 2 : 1
}
