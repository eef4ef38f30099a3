/** All benchmarks by name, and where their files are. */
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { benchmarkTitles, RankscopeError } from '@rankscope/protocol'
import { commonsense, gsm8k, math } from './answers.ts'
import type { Benchmark } from './benchmark.ts'
import { humanEval, mbpp } from './code.ts'

export type { Benchmark, BenchmarkItem, Verdict } from './benchmark.ts'

// Each judges its own items only; from outside an item is opaque.
export const benchmarks: readonly Benchmark[] = [
  gsm8k,
  math,
  humanEval,
  mbpp,
  ...commonsense,
] as unknown as Benchmark[]

/** `gsm8k` or `gsm8k=PATH`; without a path the benchmark's files are looked for below `folder`. */
export interface NamedBenchmark {
  readonly benchmark: Benchmark
  readonly file: string
}

/** NOT_FOUND for a name that there is none of, DATA_NOT_FOUND where its file is not to be found. */
export function findBenchmark(wish: string, folder: string | null): NamedBenchmark {
  const [name, ...rest] = wish.split('=')
  const benchmark = benchmarks.find((one) => one.name === name)
  if (!benchmark)
    throw new RankscopeError('NOT_FOUND', `there is no benchmark ${name}`, {
      hint: `one of ${benchmarks.map((one) => one.name).join(', ')}`,
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
  return { benchmark, file: found }
}

/** In the folder itself, or in one of the benchmark's name. */
function inFolder(folder: string, { name, files }: Benchmark): string | null {
  const places = [join(folder, name), folder]
  const candidates = places.flatMap((place) => files.map((file) => join(place, file)))
  return candidates.find((file) => existsSync(file)) ?? null
}
