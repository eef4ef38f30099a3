/** All benchmarks by name, and where their files are. */
import { existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type BenchmarkProtocol, benchmarkTitles, RankscopeError } from '@rankscope/protocol'
import { commonsense, gsm8k, math } from './answers.ts'
import type { Benchmark } from './benchmark.ts'
import { humanEval, humanEvalLmEval, mbpp, mbppLmEval } from './code.ts'
import { gsm8kLmEval, mathLmEval } from './lm-eval-answers.ts'
import { commonsenseLmEval } from './lm-eval-choices.ts'

export type { Benchmark, BenchmarkItem, Verdict } from './benchmark.ts'

// Each judges its own items only; from outside an item is opaque.
export const benchmarks: Readonly<Record<BenchmarkProtocol, readonly Benchmark[]>> = {
  pissa: [gsm8k, math, humanEval, mbpp, ...commonsense] as unknown as Benchmark[],
  'lm-eval': [
    gsm8kLmEval,
    mathLmEval,
    humanEvalLmEval,
    mbppLmEval,
    ...commonsenseLmEval,
  ] as unknown as Benchmark[],
}

/** `gsm8k` or `gsm8k=PATH`; without a path the benchmark's files are looked for below `folder`. */
export interface NamedBenchmark {
  readonly benchmark: Benchmark
  readonly file: string
  /** Where its solved examples come from; null where it needs none. */
  readonly trainFile: string | null
}

/** How it is asked, and where its solved examples come from. */
export interface BenchmarkWish {
  readonly protocol?: BenchmarkProtocol
  /** The training split's file; beside the test file where none is named. */
  readonly trainFile?: string | null
}

/** NOT_FOUND for a name that there is none of, DATA_NOT_FOUND where its file is not to be found. */
export function findBenchmark(
  wish: string,
  folder: string | null,
  { protocol = 'pissa', trainFile = null }: BenchmarkWish = {},
): NamedBenchmark {
  const [name, ...rest] = wish.split('=')
  const all = benchmarks[protocol]
  const benchmark = all.find((one) => one.name === name)
  if (!benchmark)
    throw new RankscopeError('NOT_FOUND', `there is no benchmark ${name}`, {
      hint: `one of ${all.map((one) => one.name).join(', ')}`,
    })
  const path = rest.length > 0 ? rest.join('=') : folder
  if (path === null)
    throw new RankscopeError('DATA_NOT_FOUND', `${benchmarkTitles[benchmark.name]}: no file is named`, {
      hint: `write ${name}=FILE, or name the folder with --data`,
    })
  const found = existsSync(path) && !statSync(path).isDirectory() ? path : inFolder(path, benchmark)
  if (found === null)
    throw new RankscopeError(
      'DATA_NOT_FOUND',
      `${benchmarkTitles[benchmark.name]}: there is none of ${benchmark.files.join(', ')} in ${path}`,
      {
        hint: `write ${name}=FILE`,
      },
    )
  return { benchmark, file: found, trainFile: trainFileOf(benchmark, found, trainFile) }
}

function trainFileOf(
  { name, trainFiles, protocol }: Benchmark,
  file: string,
  named: string | null,
): string | null {
  if (trainFiles === null) return null
  const found = named ?? trainFiles.map((each) => join(dirname(file), each)).find((each) => existsSync(each))
  if (found !== undefined && existsSync(found)) return found
  throw new RankscopeError(
    'DATA_NOT_FOUND',
    named === null
      ? `${benchmarkTitles[name]} by ${protocol.name} begins with ${protocol.shots} solved examples of the training split, and no such file is named`
      : `there is no file ${named}`,
    { hint: `name the training split's file, or put ${trainFiles.join(' or ')} beside the test file` },
  )
}

/** In the folder itself, or in one of the benchmark's name. */
function inFolder(folder: string, { name, files }: Benchmark): string | null {
  const places = [join(folder, name), folder]
  const candidates = places.flatMap((place) => files.map((file) => join(place, file)))
  return candidates.find((file) => existsSync(file)) ?? null
}
