/** `npm run evaluate`: benchmarks of a model without training it; every answer is kept. */
import { mkdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import {
  backendNames,
  benchmarkNames,
  benchmarkProtocols,
  benchmarkTitles,
  errorPayload,
  RankscopeError,
} from '@rankscope/protocol'
import { selectBackend } from '../backends/select.ts'
import type { Sampling } from '../benchmarks/benchmark.ts'
import { type BenchmarkScore, evaluateBenchmark } from '../benchmarks/evaluate-benchmark.ts'
import { findBenchmark } from '../benchmarks/index.ts'
import { requireSandbox } from '../benchmarks/sandbox.ts'
import { openModelFolder } from '../model/folder.ts'
import { folderIdentity } from '../model/folder-identity.ts'
import { loadModel } from '../model/model.ts'
import { writeJsonFile } from '../model/save.ts'
import { resolveModelPath } from '../run/paths.ts'
import { TextTokenizer } from '../tokenizer/text-tokenizer.ts'

const usage = `usage: npm run evaluate -- --model DIR --benchmark NAME[=FILE],… --out DIR [options]

  --model DIR       a Hugging Face folder, such as a run's export, or a name that the repository ships
  --benchmark LIST  ${benchmarkNames.join(', ')}
  --protocol NAME   ${benchmarkProtocols.join(', ')}: how they are asked and scored     [pissa]
  --data DIR        folder in which the benchmarks' files are looked for
  --train FILE      GSM8K by lm-eval: the training split, which its solved examples come from
  --out DIR         where scores.json and every item go; the same folder again goes on where it was left
  --limit N         only the first N items of each
  --batch N         prompts decoded together                    [16]
  --tokens N        at most so many tokens an answer            [the protocol's]
  --completions N   HumanEval and MBPP: sample so many of each problem, and tell pass@k
  --k LIST          of pass@k                                   [1 and N]
  --temperature T   of sampling                                 [0.8]
  --top-p P         of sampling                                 [0.95]
  --seed N          of sampling                                 [0]
  --threads N       processor threads                           [all cores]
  --backend NAME    ${backendNames.join(', ')}                  [auto]

humaneval and mbpp run what the model writes, inside a sandbox (bubblewrap) and not at all without one.

exit code: 0 all scored, 1 failed, 2 wrong arguments, 130 interrupted
`

function readArguments() {
  const { values } = parseArgs({
    options: {
      model: { type: 'string' },
      benchmark: { type: 'string' },
      data: { type: 'string' },
      out: { type: 'string' },
      limit: { type: 'string' },
      batch: { type: 'string' },
      tokens: { type: 'string' },
      protocol: { type: 'string' },
      train: { type: 'string' },
      completions: { type: 'string' },
      k: { type: 'string' },
      temperature: { type: 'string' },
      'top-p': { type: 'string' },
      seed: { type: 'string' },
      threads: { type: 'string' },
      backend: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) {
    console.log(usage)
    process.exit(0)
  }
  const { model, benchmark, out } = values
  if (model === undefined || benchmark === undefined || out === undefined)
    throw new RankscopeError('CONFIG_INVALID', '--model, --benchmark and --out are needed', {
      hint: 'npm run evaluate -- --help shows how.',
    })
  const backend = backendNames.find((name) => name === (values.backend ?? 'auto'))
  if (backend === undefined)
    throw new RankscopeError(
      'CONFIG_INVALID',
      `--backend ${values.backend}: one of ${backendNames.join(', ')} is needed`,
    )
  const protocol = benchmarkProtocols.find((name) => name === (values.protocol ?? 'pissa'))
  if (protocol === undefined)
    throw new RankscopeError(
      'CONFIG_INVALID',
      `--protocol ${values.protocol}: one of ${benchmarkProtocols.join(', ')} is needed`,
    )
  const wish = { protocol, trainFile: values.train ?? null }
  return {
    model,
    named: benchmark.split(',').map((name) => findBenchmark(name.trim(), values.data ?? null, wish)),
    ...samplingOf(values),
    out: resolve(out),
    limit: values.limit === undefined ? null : whole('limit', values.limit),
    batchSize: values.batch === undefined ? 16 : whole('batch', values.batch),
    maxNewTokens: values.tokens === undefined ? null : whole('tokens', values.tokens),
    threads: values.threads === undefined ? availableParallelism() : whole('threads', values.threads),
    backend,
  }
}

/** One greedy completion of each item, unless several are asked for. */
function samplingOf(values: {
  completions?: string | undefined
  k?: string | undefined
  temperature?: string | undefined
  'top-p'?: string | undefined
  seed?: string | undefined
}): { sampling: Sampling | null; ks: number[] } {
  const { completions, k, temperature = '0.8', 'top-p': topP = '0.95', seed = '0' } = values
  if (completions === undefined) {
    const name = (['k', 'temperature', 'top-p', 'seed'] as const).find((each) => values[each] !== undefined)
    if (name === undefined) return { sampling: null, ks: [] }
    throw new RankscopeError('CONFIG_INVALID', `--${name} has no effect without --completions`)
  }
  const count = whole('completions', completions)
  const ks = k === undefined ? [1, count] : k.split(',').map((each) => whole('k', each))
  const tooLarge = ks.find((each) => each > count)
  if (tooLarge !== undefined)
    throw new RankscopeError(
      'CONFIG_INVALID',
      `--k ${tooLarge}: pass@k needs at least k completions, not ${count}`,
    )
  return {
    sampling: {
      completions: count,
      temperature: within('temperature', temperature, (value) => value > 0 && value <= 10),
      topP: within('top-p', topP, (value) => value > 0 && value <= 1),
      seed: within('seed', seed, (value) => Number.isSafeInteger(value) && value >= 0),
    },
    ks,
  }
}

function within(name: string, text: string, fits: (value: number) => boolean): number {
  const value = Number(text)
  if (text.trim() === '' || !fits(value))
    throw new RankscopeError('CONFIG_INVALID', `--${name} ${text}: out of range`)
  return value
}

function whole(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1)
    throw new RankscopeError('CONFIG_INVALID', `--${name} ${text}: a whole number from 1 on is needed`)
  return value
}

async function main(): Promise<number> {
  const { model: modelPath, named, out, threads, backend, limit, ...settings } = readArguments()
  // Before a model is loaded and an hour of answers is spent.
  if (named.some(({ benchmark }) => benchmark.runsPrograms)) requireSandbox()
  const models = join(import.meta.dirname, '../../../models')
  const folder = resolveModelPath(modelPath, { models: [models], data: [], anywhere: true })
  const { config } = openModelFolder(folder)
  const tokenizer = TextTokenizer.load(folder, config.vocabularySize)
  const started = await selectBackend(backend, { threads })
  const model = loadModel(folder)
  mkdirSync(out, { recursive: true })
  let interrupted = false
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      if (interrupted) process.exit(130)
      interrupted = true
    })
  const scores: BenchmarkScore[] = []
  for (const each of named) {
    if (interrupted) break
    const { benchmark, file, trainFile } = each
    const title = benchmarkTitles[benchmark.name]
    const items = await benchmark.read(file, trainFile)
    scores.push(
      await evaluateBenchmark(model, tokenizer, benchmark, items.slice(0, limit ?? undefined), {
        itemsFile: join(out, `${benchmark.name}.items.jsonl`),
        modelIdentity: folderIdentity(folder),
        backend: `${started.name}: ${started.description}`,
        ...settings,
        isInterrupted: () => interrupted,
        onProgress: (done, total, correct) =>
          console.error(`${title}: ${done} of ${total}, ${correct} right`),
      }),
    )
    writeJsonFile(join(out, 'scores.json'), { model: folder, scores })
  }
  model.dispose()
  for (const score of scores) console.log(scoreLine(score))
  return interrupted ? 130 : 0
}

function scoreLine({ title, metrics, items, cut, protocol, isComplete }: BenchmarkScore): string {
  const told = metrics.map(({ name, value, halfWidth }, at) => {
    const text = value === null ? '–' : `${(100 * value).toFixed(2)} ± ${(100 * halfWidth!).toFixed(2)} %`
    return at === 0 ? `${text} of ${items}${isComplete ? '' : ' (incomplete)'}` : `${name} ${text}`
  })
  const lost = cut === 0 ? '' : `; ${cut} prompts lost their beginning to the model's context`
  return `${title.padEnd(12)} ${told.join(', ')}  [${metrics[0].name}; ${protocol}${lost}]`
}

try {
  process.exitCode = await main()
} catch (error) {
  const { code, message, hint } = errorPayload(error)
  console.error(`error ${code}: ${message}${hint === null ? '' : `\n  ${hint}`}`)
  process.exitCode = ['CONFIG_INVALID', 'NOT_FOUND'].includes(code) ? 2 : 1
}
