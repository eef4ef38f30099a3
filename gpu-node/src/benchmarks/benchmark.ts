/**
 * A benchmark: a named test set with the protocol by which it is scored. A score without its protocol says little, so each
 * carries one, with a version that is raised when the same completion would be scored otherwise.
 */
import type { BenchmarkName, BenchmarkProtocol } from '@rankscope/protocol'

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
  /** Further metrics of the protocol, by name. */
  readonly also?: Readonly<Record<string, boolean>>
}

export interface Protocol {
  /**
   * `pissa`: that of the PiSSA and HD-PiSSA papers: zero-shot, Alpaca prompt, greedy. `lm-eval`: that of EleutherAI's
   * lm-evaluation-harness.
   */
  readonly name: BenchmarkProtocol
  readonly version: number
  /** What it follows, and where it departs from that; empty where the name says all. */
  readonly note: string
  /** Solved examples before the question. */
  readonly shots: number
  readonly maxNewTokens: number
}

interface Common<Item extends BenchmarkItem> {
  readonly name: BenchmarkName
  readonly protocol: Protocol
  /** Name of the score. */
  readonly metric: string
  /** Names of files to look for where a folder is named. */
  readonly files: readonly string[]
  /** Where its examples come from the training split: names of that file beside the test file; null where they do not. */
  readonly trainFiles: readonly string[] | null
  /** Programs are run to score it: only inside a sandbox. */
  readonly runsPrograms: boolean
  /** All questions of a file, in its order. Throws DATA_NOT_FOUND or DATA_BROKEN, naming the place. */
  read(file: string, trainFile: string | null): Promise<Item[]>
}

/** The model writes an answer. */
export interface WrittenBenchmark<Item extends BenchmarkItem = BenchmarkItem> extends Common<Item> {
  readonly kind: 'write'
  /** The answer ends before the first of these. */
  readonly stops: readonly string[]
  judge(item: Item, completion: string): Promise<Verdict>
}

/** A text and what may follow it. */
export interface Choice {
  readonly context: string
  readonly continuation: string
}

/** The model says how likely each of several answers is. */
export interface ChosenBenchmark<Item extends BenchmarkItem = BenchmarkItem> extends Common<Item> {
  readonly kind: 'choose'
  choices(item: Item): readonly Choice[]
  /** `logLikelihoods`: in nats, in the order of the choices. */
  judge(item: Item, logLikelihoods: readonly number[]): Verdict
}

export type Benchmark = WrittenBenchmark | ChosenBenchmark

/** Several completions of each problem, drawn at random: only of benchmarks that run programs. */
export interface Sampling {
  readonly completions: number
  readonly temperature: number
  readonly topP: number
  readonly seed: number
}

const numbers = ['zero', 'one', 'two', 'three', 'four', 'five']

/** How a score was taken, in a line: `pissa 1, zero-shot, greedy, at most 1024 tokens`. */
export function protocolText(
  { kind, protocol, runsPrograms }: Benchmark,
  maxNewTokens: number,
  sampling: Sampling | null = null,
): string {
  const { name, version, note, shots } = protocol
  const how =
    kind === 'choose'
      ? 'the likeliest choice'
      : `${runsPrograms && sampling ? samplingText(sampling) : 'greedy'}, at most ${maxNewTokens} tokens`
  return `${name} ${version}${note === '' ? '' : ` (${note})`}, ${numbers[shots] ?? shots}-shot, ${how}`
}

function samplingText({ completions, temperature, topP, seed }: Sampling): string {
  return `${completions} completions sampled at temperature ${temperature}, top-p ${topP}, seed ${seed}`
}

/** The Alpaca prompt that ends exactly with `### Response:`. */
export function alpacaPrompt(instruction: string): string {
  return `Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\n${instruction}\n\n### Response:`
}
