/** `npm run train`: one run without a server, for scripts, CI and reproduction. */
import { readFileSync } from 'node:fs'
import { availableParallelism, homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { endOnFault, lockFolder, signalCodes } from '@rankscope/launch'
import {
  errorPayload,
  parseOrThrow,
  RankscopeError,
  type RunConfig,
  runConfigSchema,
} from '@rankscope/protocol'
import { usableMemoryBytes } from '../daemon/offerings.ts'
import { executeRun, RunControl, type RunOutcome } from '../run/run.ts'
import { prepareOutput } from './output-folder.ts'
import { ProgressLine } from './progress-line.ts'
import { RunFiles } from './run-files.ts'
import { runSweep, sweepUsage } from './sweep.ts'

const usage = `usage: npm run train -- --config run.json --out DIR [options]

  --config FILE     the run's configuration as JSON (what the dashboard shows under Config)
  --out DIR         where everything is written; an older run there moves to DIR/earlier-1
  --resume DIR      checkpoint folder to go on from, e.g. OUT/checkpoints/step-00000100
  --models DIR      folder in which model names are looked up   [the models of the repository]
  --threads N       processor threads                           [all cores]
  --quiet           no progress on stderr
  --no-model        write the merged model only where the configuration asks for it

DIR then holds metrics.jsonl, spectra.jsonl, samples.jsonl, log.jsonl, summary.json, model/ (a Hugging Face folder),
and checkpoints/ where the configuration asks for them. Ctrl-C and SIGTERM end the run after
its step, with a checkpoint to go on from.

exit code: 0 finished, 1 failed, 2 wrong arguments or configuration; interrupted: 130 by Ctrl-C, 143 by SIGTERM,
129 by SIGHUP
`

interface Arguments {
  readonly config: RunConfig
  readonly folder: string
  readonly resume: string | null
  readonly models: string
  readonly threads: number
  readonly quiet: boolean
}

function readArguments(): Arguments {
  const { values } = parseArgs({
    options: {
      config: { type: 'string' },
      out: { type: 'string' },
      resume: { type: 'string' },
      models: { type: 'string' },
      threads: { type: 'string' },
      quiet: { type: 'boolean' },
      'no-model': { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) {
    console.log(`${usage}\n${sweepUsage}`)
    process.exit(0)
  }
  if (values.config === undefined || values.out === undefined)
    throw new RankscopeError('CONFIG_INVALID', '--config and --out are needed', {
      hint: 'npm run train -- --help shows how.',
    })
  const threads = Number(values.threads ?? availableParallelism())
  if (!Number.isInteger(threads) || threads < 1)
    throw new RankscopeError(
      'CONFIG_INVALID',
      `--threads ${values.threads}: a whole number from 1 on is needed`,
    )
  return {
    config: readConfigFile(values.config, !values['no-model']),
    folder: resolve(values.out),
    resume: values.resume === undefined ? null : resolve(values.resume),
    models: resolve(values.models ?? join(import.meta.dirname, '../../../models')),
    threads,
    quiet: values.quiet ?? false,
  }
}

/** Throws CONFIG_UNREADABLE or CONFIG_INVALID. `exportsModel`: whatever the file says about it. */
function readConfigFile(file: string, exportsModel: boolean): RunConfig {
  let raw: unknown
  try {
    raw = JSON.parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    throw new RankscopeError(
      'CONFIG_UNREADABLE',
      `${file}: ${cause instanceof Error ? cause.message : cause}`,
      {
        cause,
        hint: 'Give a JSON file; "method": {"name": "lora"} and "data": {"source": …} are the least it needs.',
      },
    )
  }
  const config = parseOrThrow(runConfigSchema, raw, 'CONFIG_INVALID', file)
  if (config.job.kind === 'evaluation')
    throw new RankscopeError('CONFIG_INVALID', `${file}: job: it trains nothing`, {
      hint: 'npm run evaluate -- --help shows how models are evaluated without a server.',
    })
  return exportsModel ? { ...config, export: { ...config.export, model: true } } : config
}

async function main(): Promise<number> {
  const { config, folder, resume, models, threads, quiet } = readArguments()
  // Two runs that wrote one folder would mix their records, and take each other's checkpoints.
  process.once('exit', lockFolder(folder, { name: 'run.lock', option: '--out' }))
  const earlier = prepareOutput(folder, config, resume)
  if (earlier !== null) console.error(`${folder} holds an older run, which moves to ${earlier}`)
  const files = new RunFiles(folder, { resumed: resume !== null })
  const line = quiet ? null : new ProgressLine(process.stderr)
  const control = new RunControl()
  const interruption = pauseOnSignals(control)
  const outcome = await executeRun(config, {
    emit(body) {
      files.write(body)
      line?.show(body)
    },
    roots: { models: [models], data: [], anywhere: true },
    folder,
    cacheFolder: cacheFolder(),
    threads,
    memoryBytes: usableMemoryBytes(),
    checkpointFrom: resume,
    control,
  })
  line?.end()
  const code = report(outcome, folder, interruption())
  try {
    files.close(config, outcome)
  } catch (error) {
    printError(errorPayload(error))
    return code === 0 ? 1 : code
  }
  return code
}

/**
 * Ctrl-C, the end of a terminal, the end of a job’s time: the run pauses after its step, with a checkpoint. A second one
 * leaves at once. The answer tells the exit code of what came.
 */
function pauseOnSignals(control: RunControl): () => number {
  let code: number = signalCodes.SIGINT
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      code = signalCodes[signal]
      if (control.leave !== null) process.exit(code)
      control.request('pause')
    })
  return () => code
}

/** Decompositions of base models, shared by all runs of a user. */
function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'rankscope')
}

function report(outcome: RunOutcome, folder: string, interruptedCode: number): number {
  switch (outcome.state) {
    case 'finished':
      console.error(`finished after ${outcome.steps} steps: ${folder}`)
      return 0
    case 'paused':
      console.error(`interrupted after ${outcome.steps} steps; go on with --resume ${outcome.checkpoint}`)
      return interruptedCode
    case 'stopped':
      console.error(`stopped after ${outcome.steps} steps`)
      return interruptedCode
    case 'failed':
      printError(outcome.error)
      return 1
  }
}

function printError({ code, message, hint }: { code: string; message: string; hint: string | null }): void {
  console.error(`error ${code}: ${message}${hint === null ? '' : `\n  ${hint}`}`)
}

endOnFault((error) => {
  console.error(error instanceof Error ? error.stack : error)
  printError(errorPayload(error))
})
try {
  process.exitCode = await (process.argv.some((word) => word === '--sweep' || word === '--recipe')
    ? runSweep()
    : main())
} catch (error) {
  printError(errorPayload(error))
  process.exitCode = 2
}
