/**
 * A benchmark: a named test set with the protocol by which it is scored. A score without its protocol says little, so each
 * carries one, with a version that is raised when the same completion would be scored otherwise.
 */
import type { BenchmarkName } from '@rankscope/protocol'

/** One question of a benchmark. */
export interface BenchmarkItem {
  readonly id: string
  /** What the model continues, as the protocol spells it. */
  readonly prompt: string
  /** The right answer, as it is shown beside a completion. */
  readonly reference: string
}

export interface Verdict {
  readonly correct: boolean
  /** What was taken from the completion; null where nothing could be. */
  readonly extracted: string | null
  /** Why it is wrong, where that is more than another answer: `timed out`, `AssertionError`. */
  readonly reason: string | null
}

export interface Protocol {
  /** `pissa`: that of the PiSSA and HD-PiSSA papers: zero-shot, Alpaca prompt, greedy. */
  readonly name: 'pissa'
  readonly version: number
  readonly maxNewTokens: number
}

export interface Benchmark<Item extends BenchmarkItem = BenchmarkItem> {
  readonly name: BenchmarkName
  readonly protocol: Protocol
  /** Names of files to look for where a folder is named. */
  readonly files: readonly string[]
  /** Programs are run to score it: only inside a sandbox. */
  readonly runsPrograms: boolean
  /** All questions of a file, in its order. Throws DATA_NOT_FOUND or DATA_BROKEN, naming the place. */
  read(file: string): Promise<Item[]>
  judge(item: Item, completion: string): Promise<Verdict>
}

/** How a score was taken, in a line: `pissa 1, zero-shot, greedy, at most 1024 tokens`. */
export function protocolText({ name, version }: Protocol, maxNewTokens: number): string {
  return `${name} ${version}, zero-shot, greedy, at most ${maxNewTokens} tokens`
}

/** The Alpaca prompt that ends exactly with `### Response:`. */
export function alpacaPrompt(instruction: string): string {
  return `Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\n${instruction}\n\n### Response:`
}
