/** The benchmarks that a run is scored by beside its test data: read before anything is trained, answered later. */
import { benchmarkTitle, type RunConfig } from '@rankscope/protocol'
import { type AnsweredItem, answerItems, completionsOf } from '../benchmarks/answer-items.ts'
import { protocolText, type Sampling } from '../benchmarks/benchmark.ts'
import { type Benchmark, type BenchmarkItem, findBenchmark } from '../benchmarks/index.ts'
import { requireSandbox } from '../benchmarks/sandbox.ts'
import { type Score, scoreOf } from '../benchmarks/score.ts'
import type { LinearHook } from '../model/llama.ts'
import type { Model } from '../model/model.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'

export interface LoadedBenchmark {
  readonly benchmark: Benchmark
  /** As the literature spells it. */
  readonly title: string
  /** The first so many items, as evaluation.examples says. */
  readonly items: readonly BenchmarkItem[]
  /** How its score is taken, and of how many items. */
  readonly protocol: string
  readonly sampling: Sampling | null
  /** Of pass@k. */
  readonly ks: readonly number[]
}

/**
 * Throws DATA_NOT_FOUND, DATA_BROKEN or PATH_FORBIDDEN about a file, and SETUP_MISSING where a benchmark runs programs
 * and they cannot be contained: before an hour of training is spent.
 */
export async function loadBenchmarks(
  { benchmarks, examples, sampling }: RunConfig['evaluation'],
  resolvePath: (path: string) => string,
): Promise<LoadedBenchmark[]> {
  const loaded: LoadedBenchmark[] = []
  for (const { name, path, protocol, trainPath } of benchmarks) {
    const wish = { protocol, trainFile: trainPath === null ? null : resolvePath(trainPath) }
    // Under a folder the file is found by its usual names, and must be allowed, too.
    const { benchmark, file, trainFile } = findBenchmark(`${name}=${resolvePath(path)}`, null, wish)
    if (benchmark.runsPrograms) requireSandbox()
    const all = await benchmark.read(resolvePath(file), trainFile === null ? null : resolvePath(trainFile))
    const items = all.slice(0, examples)
    const part = items.length < all.length ? `, the first ${items.length} of ${all.length} items` : ''
    const { maxNewTokens } = benchmark.protocol
    loaded.push({
      benchmark,
      title: benchmarkTitle(name, protocol),
      items,
      protocol: `${protocolText(benchmark, maxNewTokens, sampling)}${part}`,
      sampling,
      ks: sampling ? [sampling.passAt] : [],
    })
  }
  return loaded
}

/** The answer length is the protocol's own: with fewer tokens the score would be another one. */
export async function scoreBenchmark(
  model: Model,
  tokenizer: TextTokenizer,
  { benchmark, items, sampling, ks }: LoadedBenchmark,
  options: { batchSize: number; onProgress: (share: number) => void },
  hook: LinearHook,
): Promise<{ score: Score; answers: AnsweredItem[] }> {
  const answers: AnsweredItem[] = []
  const { maxNewTokens } = benchmark.protocol
  const asked = completionsOf(benchmark, items, sampling)
  const settings = { maxNewTokens, batchSize: options.batchSize, sampling }
  for await (const batch of answerItems(model, tokenizer, benchmark, asked, settings, hook)) {
    answers.push(...batch)
    options.onProgress(answers.length / asked.length)
  }
  return { score: scoreOf(benchmark, answers, ks), answers }
}
