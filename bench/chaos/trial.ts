/** A trial: runs of several methods under faults drawn from a seed, and what was wrong with them in the end. */
import { setTimeout as delay } from 'node:timers/promises'
import { isSettled, type RunConfig, runConfigSchema } from '@rankscope/protocol'
import { type Draw, drawing, drawWeighted } from '../draw.ts'
import { ChaosStack } from './chaos-stack.ts'
import { type FaultName, faults, sleepAll } from './faults.ts'
import { findingsOf, losses, recordsOf } from './verdict.ts'

export const methods = {
  lora: { method: { name: 'lora', rank: 4 } },
  'hd-pissa': { method: { name: 'hd-pissa', rank: 2 }, parallel: { devices: 2 } },
  full: { method: { name: 'full' } },
} as const
export type TrialMethod = keyof typeof methods

export interface TrialOptions {
  readonly seed: number
  /** Faults drawn; sleeps of everything come on top. */
  readonly faults: number
  /** Only these, or all. */
  readonly kinds: FaultName[] | null
  readonly sleeps: number
  readonly sleepMs: number
  /** Pause between two faults. */
  readonly pauseMs: { readonly least: number; readonly most: number }
  readonly methods: readonly TrialMethod[]
  readonly steps: number
  /** When no new fault begins any more. */
  readonly longestMs: number
  report(line: string): void
}

export interface TrialResult {
  readonly counts: ReadonlyMap<string, number>
  readonly runs: number
  readonly attempts: number
  readonly records: number
  readonly retries: number
  readonly findings: readonly string[]
}

const pollMs = 250
const settleMs = 600_000

export async function runTrial(options: TrialOptions): Promise<TrialResult> {
  const stack = new ChaosStack(options.methods.length)
  await stack.start()
  try {
    return await new Trial(stack, options).run()
  } catch (error) {
    options.report(stack.nodeLog().split('\n').slice(-30).join('\n'))
    throw error
  } finally {
    await stack.end()
  }
}

class Trial {
  readonly #stack: ChaosStack
  readonly #options: TrialOptions
  readonly #draw: Draw
  readonly #counts = new Map<string, number>()
  readonly #launched: { runId: string; method: TrialMethod }[] = []
  #retries = 0
  #isOver = false

  constructor(stack: ChaosStack, options: TrialOptions) {
    this.#stack = stack
    this.#options = options
    this.#draw = drawing(options.seed)
  }

  async run(): Promise<TrialResult> {
    const expected = await this.#undisturbed()
    const keeping = this.#keepRunning()
    await this.#doFaults()
    this.#isOver = true
    await keeping
    return this.#judge(expected)
  }

  /** The losses of each method where nothing happens. */
  async #undisturbed(): Promise<Map<TrialMethod, number[]>> {
    const expected = new Map<TrialMethod, number[]>()
    const names = this.#options.methods
    const runs = await this.#stack.api.createRuns(names.map((name) => this.#config(name)))
    for (const [index, { runId }] of runs.entries()) {
      let run = await this.#stack.api.run(runId)
      while (!isSettled(run.state)) {
        await delay(pollMs)
        run = await this.#stack.api.run(runId)
      }
      if (run.error) throw new Error(`the undisturbed run failed: ${run.error.code}: ${run.error.message}`)
      const kept = losses(await recordsOf(this.#stack.url, this.#stack.browserToken, runId))
      if (kept.size !== this.#options.steps) throw new Error(`the undisturbed run has ${kept.size} steps`)
      expected.set(names[index]!, [...kept.values()])
    }
    return expected
  }

  /** One run of each method at a time: one that has ended makes room for the next, one that was killed is tried again. */
  async #keepRunning(): Promise<void> {
    let deadline = Number.POSITIVE_INFINITY
    for (;;) {
      if (this.#isOver && deadline === Number.POSITIVE_INFINITY) deadline = performance.now() + settleMs
      const unsettled = await this.#look().catch(() => null)
      if (unsettled !== null && this.#isOver && unsettled.size === 0) return
      if (performance.now() > deadline) return
      if (unsettled !== null && !this.#isOver)
        for (const method of this.#options.methods)
          if (!unsettled.has(method)) await this.#launch(method).catch(() => undefined)
      await delay(pollMs)
    }
  }

  /** Methods of which a run is under way. Fails while the server is away. */
  async #look(): Promise<Set<TrialMethod>> {
    const unsettled = new Set<TrialMethod>()
    for (const { runId, method } of this.#launched.slice(-2 * this.#options.methods.length)) {
      const run = await this.#stack.api.run(runId)
      if (run.state === 'failed' && run.error?.code === 'RUN_CRASHED') {
        await this.#stack.api.command(runId, 'retry')
        this.#retries += 1
        unsettled.add(method)
      } else if (!isSettled(run.state)) unsettled.add(method)
    }
    return unsettled
  }

  async #launch(method: TrialMethod): Promise<void> {
    const config = { ...this.#config(method), name: `${method}-${this.#launched.length}` }
    // The answer of a server that is killed may be lost although the run was made: found by its name.
    const [run] = await this.#stack.api.createRuns([config]).catch(async () => {
      for (let tries = 0; tries < 200; tries++) {
        const known = await this.#stack.api.runs().catch(() => null)
        if (known !== null) return known.filter(({ config: { name } }) => name === config.name)
        await delay(pollMs)
      }
      return []
    })
    if (run) this.#launched.push({ runId: run.runId, method })
  }

  async #doFaults(): Promise<void> {
    const { faults: count, sleeps, sleepMs, pauseMs, longestMs, report } = this.#options
    const began = performance.now()
    /** Faults after which everything sleeps, spread evenly. */
    const sleepAfter = Array.from({ length: sleeps }, (_, index) =>
      Math.floor(((index + 1) * count) / (sleeps + 1)),
    )
    for (let done = 0; done < count && performance.now() - began < longestMs; ) {
      await delay(this.#draw.between(pauseMs.least, pauseMs.most))
      if (done >= (sleepAfter[0] ?? Number.POSITIVE_INFINITY)) {
        sleepAfter.shift()
        report(`${done}/${count}: all processes sleep for ${sleepMs / 1000} s`)
        if (await sleepAll(this.#stack, sleepMs)) this.#count('sleep of all')
      }
      const name = drawWeighted(this.#draw, faults, this.#options.kinds ?? undefined)
      report(`${done}/${count}: ${name}`)
      if (await faults[name].run(this.#stack, this.#draw)) {
        this.#count(name)
        done += 1
      }
    }
  }

  #count(name: string): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
  }

  async #judge(expected: ReadonlyMap<TrialMethod, readonly number[]>): Promise<TrialResult> {
    const findings: string[] = []
    let records = 0
    let attempts = 0
    for (const { runId, method } of this.#launched) {
      const run = await this.#stack.api.run(runId)
      const kept = await recordsOf(this.#stack.url, this.#stack.browserToken, runId)
      records += kept.length
      attempts += run.attempt
      for (const finding of findingsOf(run, kept, expected.get(method)!))
        findings.push(`${run.name}: ${finding}`)
    }
    findings.push(...(await this.#leftovers()))
    return {
      counts: this.#counts,
      runs: this.#launched.length,
      attempts,
      records,
      retries: this.#retries,
      findings,
    }
  }

  /** Checkpoints beyond what a run may keep, files written aside, processes; and after deletion anything at all. */
  async #leftovers(): Promise<string[]> {
    const findings: string[] = []
    const paths = this.#stack.leftovers()
    for (const path of paths) if (/\.(partial|tmp)$/.test(path)) findings.push(`${path} was left aside`)
    const perRun = new Map<string, number>()
    for (const path of paths)
      if (/\/checkpoints\/step-\d+$/.test(path)) {
        const runId = path.split('/')[0]!
        perRun.set(runId, (perRun.get(runId) ?? 0) + 1)
      }
    for (const [runId, count] of perRun)
      if (count > keptCheckpoints)
        findings.push(`run ${runId} has ${count} checkpoints, ${keptCheckpoints} are to be kept`)
    const alive = this.#stack.runProcesses()
    if (alive.length > 0) findings.push(`run processes are left: ${alive.join(', ')}`)
    for (const { runId } of await this.#stack.api.runs()) await this.#stack.api.remove(runId)
    const gone = async () => this.#stack.leftovers().length === 0
    for (let tries = 0; tries < 40 && !(await gone()); tries++) await delay(pollMs)
    for (const path of this.#stack.leftovers().filter((name) => !name.includes('/')))
      findings.push(`the folder of the deleted run ${path} is left`)
    return findings
  }

  #config(method: TrialMethod): RunConfig {
    return runConfigSchema.parse({
      ...methods[method],
      model: { path: 'toy' },
      data: { source: { kind: 'task', task: 'programs', trainExamples: 256 }, maxLength: 256 },
      optimizer: { learningRate: 1e-3 },
      training: { globalBatchSize: 2, microBatchSize: 1, maxSteps: this.#options.steps, epochs: 100 },
      evaluation: { atEnd: false },
      spectra: { everySteps: null, atEnd: false },
      checkpoint: { everySteps: 25, keep: keptCheckpoints },
      resources: { backend: 'wasm', threads: 1 },
    })
  }
}

const keptCheckpoints = 2
