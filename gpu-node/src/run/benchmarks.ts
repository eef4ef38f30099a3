/** The benchmarks that a run is scored by beside its test data: read before anything is trained, answered later. */
import { benchmarkTitles, type RunConfig } from '@rankscope/protocol'
import { answerItems } from '../benchmarks/answer-items.ts'
import { protocolText } from '../benchmarks/benchmark.ts'
import { type Benchmark, type BenchmarkItem, findBenchmark } from '../benchmarks/index.ts'
import { requireSandbox } from '../benchmarks/sandbox.ts'
import type { AccuracyResult, AnswerSample } from '../eval/evaluate.ts'
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
}

/**
 * Throws DATA_NOT_FOUND, DATA_BROKEN or PATH_FORBIDDEN about a file, and SETUP_MISSING where a benchmark runs programs
 * and they cannot be contained: before an hour of training is spent.
 */
export async function loadBenchmarks(
  { benchmarks, examples }: RunConfig['evaluation'],
  resolvePath: (path: string) => string,
): Promise<LoadedBenchmark[]> {
  const loaded: LoadedBenchmark[] = []
  for (const { name, path } of benchmarks) {
    // Under a folder the file is found by its usual names, and must be allowed, too.
    const { benchmark, file } = findBenchmark(`${name}=${resolvePath(path)}`, null)
    if (benchmark.runsPrograms) requireSandbox()
    const all = await benchmark.read(resolvePath(file))
    const items = all.slice(0, examples)
    const part = items.length < all.length ? `, the first ${items.length} of ${all.length} items` : ''
    const protocol = `${protocolText(benchmark.protocol, benchmark.protocol.maxNewTokens)}${part}`
    loaded.push({ benchmark, title: benchmarkTitles[name], items, protocol })
  }
  return loaded
}

/** The answer length is the protocol's own: with fewer tokens the score would be another one. */
export async function scoreBenchmark(
  model: Model,
  tokenizer: TextTokenizer,
  { benchmark, items }: LoadedBenchmark,
  options: { batchSize: number; onProgress: (share: number) => void },
  hook: LinearHook,
): Promise<AccuracyResult> {
  const answers: AnswerSample[] = []
  const { maxNewTokens } = benchmark.protocol
  const { batchSize } = options
  for await (const batch of answerItems(
    model,
    tokenizer,
    benchmark,
    items,
    { maxNewTokens, batchSize },
    hook,
  )) {
    for (const { prompt, completion, reference, correct } of batch)
      answers.push({ prompt, completion, expected: reference, correct })
    options.onProgress(answers.length / items.length)
  }
  const correct = answers.filter((answer) => answer.correct).length
  return { examples: answers.length, accuracy: correct / answers.length, byType: {}, answers }
}
