/** `npm run spectra`: spectra and analyses of a PEFT adapter, or of what one model changed of another, without training. */
import { closeSync, openSync, writeSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { lineOfRecord } from '@rankscope/experiments'
import { errorPayload, fromFloat64Bytes, RankscopeError, type RecordBodyOf } from '@rankscope/protocol'
import { inspectChanges } from '../inspect/inspect.ts'
import { isAdapterFolder, openAdapter } from '../inspect/peft-adapter.ts'
import { compareModels } from '../inspect/two-models.ts'
import { closeSpectra } from '../linalg/index.ts'
import { openModelFolder } from '../model/folder.ts'
import { resolveModelPath } from '../run/paths.ts'

const usage = `usage: npm run spectra -- --adapter DIR [--base DIR] [options]
       npm run spectra -- --model DIR --base DIR [options]

  --adapter DIR       a PEFT adapter: LoRA, rsLoRA, DoRA, PiSSA converted to LoRA, HiRA
  --model DIR         a Hugging Face folder whose weights are compared with those of --base
  --base DIR          the model that was trained from, or a name that the repository ships; analyses of ΔW
                      against W, DoRA and HiRA need it
  --out FILE          spectra and analyses of every module as JSON lines, as spectra.jsonl of a run
  --analyses-up-to N  shorter side of the largest weight that is analysed   [1024]

exit code: 0 done, 1 failed, 2 wrong arguments, 130 interrupted
`

function readArguments() {
  const { values } = parseArgs({
    options: {
      adapter: { type: 'string' },
      model: { type: 'string' },
      base: { type: 'string' },
      out: { type: 'string' },
      'analyses-up-to': { type: 'string', default: '1024' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) {
    console.log(usage)
    process.exit(0)
  }
  const { adapter, model, base, out } = values
  const analysesUpTo = Number(values['analyses-up-to'])
  const wrong =
    (adapter === undefined) === (model === undefined)
      ? 'either --adapter or --model is needed'
      : model !== undefined && base === undefined
        ? '--model needs --base, the model that it is compared with'
        : !Number.isSafeInteger(analysesUpTo) || analysesUpTo < 0
          ? `--analyses-up-to ${values['analyses-up-to']}: a whole number from 0 on is needed`
          : null
  if (wrong)
    throw new RankscopeError('CONFIG_INVALID', wrong, { hint: 'npm run spectra -- --help shows how.' })
  return { adapter, model, base, out, analysesUpTo }
}

async function main(): Promise<number> {
  const { adapter, model, base, out, analysesUpTo } = readArguments()
  const models = join(import.meta.dirname, '../../../models')
  const open = (path: string) =>
    openModelFolder(resolveModelPath(path, { models: [models], data: [], anywhere: true }))
  const baseFolder = base === undefined ? null : open(base)
  const changes =
    adapter === undefined
      ? compareModels(open(model!), baseFolder!)
      : openAdapter(adapterFolder(adapter), baseFolder)
  console.error([changes.title, ...changes.notes].join('; '))
  const file = out === undefined ? null : openSync(resolve(out), 'w')
  const control = new AbortController()
  let interrupted = false
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      if (interrupted) process.exit(130)
      interrupted = true
      control.abort(new Error('interrupted'))
    })
  try {
    const row = table(Math.max(...changes.modules.map(({ name }) => name.length)), baseFolder !== null)
    console.log(row(null))
    for await (const record of inspectChanges(changes, { analysesUpTo, signal: control.signal })) {
      if (file !== null) writeSync(file, `${JSON.stringify(lineOfRecord(record, Date.now())!.value)}\n`)
      console.log(row(record))
    }
    return 0
  } catch (error) {
    if (interrupted) return 130
    throw error
  } finally {
    if (file !== null) closeSync(file)
    await closeSpectra()
  }
}

function adapterFolder(path: string): string {
  const folder = resolve(path)
  if (isAdapterFolder(folder)) return folder
  throw new RankscopeError('MODEL_NOT_FOUND', `${folder} has no adapter_config.json`, {
    hint: 'Give the folder that PEFT wrote, or two model folders with --model and --base.',
  })
}

const columns: {
  title: string
  of: (record: RecordBodyOf<'spectrum'>) => number | undefined
  against?: true
}[] = [
  { title: '‖ΔW‖_F', of: ({ frobenius }) => frobenius },
  { title: 'σ₁', of: ({ singularValues }) => fromFloat64Bytes(singularValues)[0] },
  { title: 'numerical rank', of: ({ measures }) => measures.numericalRank },
  { title: 'effective rank', of: ({ measures }) => measures.effectiveRank },
  { title: 'stable rank', of: ({ measures }) => measures.stableRank },
  { title: '‖ΔW‖_F/‖W‖_F', of: ({ measures }) => measures.relativeFrobeniusNorm, against: true },
  { title: 'intruders', of: ({ measures }) => measures.intruders, against: true },
  { title: 'rotation', of: ({ measures }) => measures.rotationLargest, against: true },
  { title: 'drift', of: ({ measures }) => measures.singularValueDrift, against: true },
  { title: 'seen by bf16', of: ({ measures }) => measures.bfloat16Visible, against: true },
]

const widest = Math.max(...columns.map(({ title }) => title.length))

/** A row of the table; the header for null. */
function table(width: number, hasBase: boolean): (record: RecordBodyOf<'spectrum'> | null) => string {
  const shown = columns.filter(({ against }) => hasBase || !against)
  return (record) =>
    [
      (record?.module ?? 'module').padEnd(width),
      ...shown.map(({ title, of }) => {
        if (!record) return title.padStart(widest)
        const value = of(record)
        return (value === undefined ? '–' : String(Number(value.toPrecision(4)))).padStart(widest)
      }),
    ].join('  ')
}

try {
  process.exitCode = await main()
} catch (error) {
  const { code, message, hint } = errorPayload(error)
  console.error(`error ${code}: ${message}${hint === null ? '' : `\n  ${hint}`}`)
  process.exitCode = ['CONFIG_INVALID', 'MODEL_NOT_FOUND'].includes(code) ? 2 : 1
}
