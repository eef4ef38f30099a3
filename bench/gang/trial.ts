/** A run that several hosts share, under faults: how soon the others learn of each, what is left, what became of the run. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { isSettled, type RunConfig, type RunView } from '@rankscope/protocol'
import type { Cluster } from '../../e2e/cluster.ts'
import { findingsOf, losses, recordsOf } from '../chaos/verdict.ts'
import type { Draw } from '../draw.ts'
import { type GangFaultName, gangFaults, ranksOn } from './faults.ts'

/** What an undisturbed run comes to. */
export interface Expected {
  readonly losses: readonly number[]
  /** SHA-256 of the merged model. */
  readonly weights: string
}

export interface Struck {
  readonly fault: GangFaultName
  /** Until no rank of the attempt was left on any host; null where the attempt outlived it. */
  readonly learntMs: number | null
}

/** Others are to learn of a loss within this. */
export const learnWithinMs = 6000
const pollMs = 50
/** After which a run that does not go on, or processes that do not end, are a finding. */
const patienceMs = 180_000
const leftPatienceMs = 15_000

export class GangTrial {
  readonly #cluster: Cluster
  readonly #draw: Draw
  readonly #config: RunConfig
  readonly #report: (line: string) => void
  /** Node ids by host. */
  #nodeIds: string[] = []
  readonly findings: string[] = []
  attempts = 0

  /** `config` exports its model. */
  constructor(cluster: Cluster, config: RunConfig, draw: Draw, report: (line: string) => void) {
    this.#cluster = cluster
    this.#config = config
    this.#draw = draw
    this.#report = report
  }

  async launch(): Promise<string> {
    const nodes = await this.#cluster.api.nodes()
    this.#nodeIds = this.#cluster.names.map((name) => nodes.find(({ hello }) => hello.name === name)!.nodeId)
    const [run] = await this.#cluster.api.createRuns([this.#config])
    return run!.runId
  }

  /** Runs to the end. `where`: as `2 on host0`, what of it goes where; [] for one host, null for anywhere. */
  async undisturbed(where: readonly string[] | null = null): Promise<Expected> {
    const run = await this.#cluster.until(await this.launch(), ({ state }) => isSettled(state))
    if (run.attempt > 1) throw new Error(`the undisturbed run took ${run.attempt} attempts`)
    const places = run.gang.map(({ name, devices }) => `${devices} on ${name}`).sort()
    if (where && places.join() !== where.join()) throw new Error(`it went to ${places.join(', ')}`)
    return { losses: [...losses(await this.#records(run)).values()], weights: this.#weights(run) }
  }

  /**
   * Strikes when the attempt has trained beyond `step`, or `early`: somewhere between its assignment and its first step.
   * Resolves when the fault is over; null where the run ended before it came to that.
   */
  async disturb(runId: string, fault: GangFaultName, step: number, early: boolean): Promise<Struck | null> {
    const run = await this.#cluster.until(
      runId,
      (found) =>
        isSettled(found.state) ||
        (found.gang.length > 1 && (early ? found.state === 'running' : isTraining(found, step))),
    )
    if (isSettled(run.state)) return null
    if (early) await delay(this.#draw.between(0, 6000))
    const hosts = run.gang.map(({ nodeId }) => this.#nodeIds.indexOf(nodeId))
    const ranks = () => this.#cluster.names.flatMap((_, host) => ranksOn(this.#cluster, host))
    const struck = ranks()
    const started = performance.now()
    const end = await gangFaults[fault].strike({ cluster: this.#cluster, draw: this.#draw, hosts })
    const ended = end()
    let learntMs: number | null = null
    if (gangFaults[fault].isFatal) {
      while (
        ranks().some((rank) => struck.includes(rank)) &&
        performance.now() - started < 10 * learnWithinMs
      )
        await delay(pollMs)
      learntMs = performance.now() - started
    }
    await ended
    this.#report(
      `${fault}, ${early ? 'at the start' : `after step ${run.step}`} of attempt ${run.attempt}${learntMs === null ? '' : `: ${(learntMs / 1000).toFixed(1)} s until no rank was left`}`,
    )
    if (learntMs !== null && learntMs > learnWithinMs)
      this.#find(`${fault}: ranks were left for ${(learntMs / 1000).toFixed(1)} s`)
    if (gangFaults[fault].isFatal && struck.length > 0)
      await this.#within(`${fault}: the run has a new attempt`, async () => {
        const now = await this.#cluster.api.run(runId)
        return now.attempt > run.attempt || isSettled(now.state)
      })
    return { fault, learntMs }
  }

  /** Waits for the end of the run and notes what is wrong with it, or left of it. */
  async judge(runId: string, expected: Expected): Promise<RunView> {
    await this.#within('the run comes to its end', async () =>
      isSettled((await this.#cluster.api.run(runId)).state),
    )
    const run = await this.#cluster.api.run(runId)
    const found = findingsOf(run, await this.#records(run), expected.losses)
    if (run.state === 'finished' && this.#weights(run) !== expected.weights)
      found.push('its weights are not those of the undisturbed run')
    for (const finding of found) this.#find(`${run.runId}, attempt ${run.attempt}: ${finding}`)
    const deadline = performance.now() + leftPatienceMs
    const left = () =>
      this.#cluster.names.flatMap((name, host) =>
        this.#cluster.leftOn(host).map((line) => `${name}: ${line}`),
      )
    while (left().length > 0 && performance.now() < deadline) await delay(pollMs)
    for (const line of left()) this.#find(`left on ${line}`)
    this.attempts += run.attempt
    return run
  }

  #records(run: RunView) {
    return recordsOf(
      this.#cluster.url,
      this.#cluster.headers['authorization']!.slice('Bearer '.length),
      run.runId,
    )
  }

  #weights(run: RunView): string {
    const folder = this.#cluster.runFolder(this.#nodeIds.indexOf(run.nodeId!), run)
    return createHash('sha256')
      .update(readFileSync(join(folder, 'model', 'model.safetensors')))
      .digest('hex')
  }

  #find(finding: string): void {
    this.findings.push(finding)
    this.#report(`WRONG: ${finding}`)
  }

  async #within(what: string, isSo: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + patienceMs
    while (!(await isSo())) {
      if (performance.now() > deadline) throw new Error(`${patienceMs / 1000} s passed and not: ${what}`)
      await delay(pollMs)
    }
  }
}

function isTraining({ state, phase, step }: RunView, beyond: number): boolean {
  return state === 'running' && phase?.phase === 'training' && step > beyond
}
