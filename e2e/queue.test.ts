/** The whole, without a browser: a long queue while server and node are killed, together and one after the other. */
import { setTimeout as delay } from 'node:timers/promises'
import { type RunView, runConfigSchema, scalarsAnswer } from '@rankscope/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TestStack } from './test-stack.ts'

const count = 30
const steps = 2
const patienceMs = 300_000

describe('a queue of thirty runs', { timeout: patienceMs }, () => {
  const stack = new TestStack()
  beforeAll(() => stack.start())
  afterAll(() => stack.end())

  const finished = (runs: readonly RunView[]) => runs.filter(({ state }) => state === 'finished').length
  /** A run that failed makes what is waited for impossible. */
  const until = async (wanted: (runs: readonly RunView[]) => boolean): Promise<RunView[]> => {
    for (;;) {
      const runs = await stack.api.runs()
      const failed = runs.find(({ state }) => state === 'failed')
      if (failed) throw new Error(`${failed.name}: ${failed.error?.message}`)
      if (wanted(runs)) return runs
      await delay(100)
    }
  }
  const stepsOf = async (runId: string) => {
    const query = `/api/runs/${runId}/scalars?names=train%2Floss&points=100`
    const answer = await fetch(new URL(query, stack.address), { headers: stack.headers })
    return scalarsAnswer.parse(await answer.json()).series[0]!.steps
  }

  it('outlives the deaths of server and node: none lost, none doubled, the order kept', async () => {
    const [node] = await stack.api.nodes()
    const { slots } = node!.hello
    const configs = Array.from({ length: count }, (_, seed) =>
      runConfigSchema.parse({
        name: `queued-${seed}`,
        seed,
        model: { path: node!.hello.models[0]!.path },
        data: {
          source: { kind: 'task', task: 'programs', trainExamples: 8 * steps },
          template: 'plain',
          maxLength: 128,
        },
        method: { name: 'lora', rank: 2 },
        training: { globalBatchSize: 8, microBatchSize: 8 },
        evaluation: { atEnd: false },
        spectra: { everySteps: null, atEnd: false },
      }),
    )
    const made = (await stack.api.createRuns(configs)).map(({ runId }) => runId)

    await until((runs) => finished(runs) >= 3)
    await stack.stopServer('SIGKILL')
    await stack.restartServer()
    const first = await until((runs) => finished(runs) >= 6)
    // What waits stands in the order in which it was asked for.
    const places = new Map(first.map(({ runId, queuePosition }) => [runId, queuePosition]))
    const waiting = made.flatMap((runId) => places.get(runId) ?? [])
    expect(waiting).toEqual(waiting.map((_, index) => index + 1))
    expect(waiting.length).toBeGreaterThan(count / 3)

    await stack.stopNode('SIGKILL')
    await stack.startNode()
    await until((runs) => finished(runs) >= 12)
    await Promise.all([stack.stopNode('SIGKILL'), stack.stopServer('SIGKILL')])
    await stack.restartServer()
    await stack.startNode()

    const runs = await until((all) => finished(all) === count)
    expect(runs.map(({ runId }) => runId).sort()).toEqual([...made].sort())
    expect(runs.map(({ name }) => name).sort()).toEqual(configs.map(({ name }) => name).sort())
    // Each step of each run is there once, those of the killed ones too.
    for (const runId of made) expect(await stepsOf(runId)).toEqual([1, 2])
    // A run that was killed began again; no run began before one that stood a node's slots before it in the queue.
    expect(runs.some(({ attempt }) => attempt > 1)).toBe(true)
    const begun = made.map((runId) => runs.find((run) => run.runId === runId)!.startedMs!)
    for (const [place, startedMs] of begun.entries())
      for (const earlier of begun.slice(0, Math.max(0, place - slots + 1)))
        expect(earlier, `${configs[place]!.name} began early`).toBeLessThanOrEqual(startedMs)
  })
})
