/** The whole, without a browser: what becomes of a run when a process is killed in the middle of it. */
import { isSettled, type RunView, runConfigSchema, scalarsAnswer } from '@rankscope/protocol'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { TestStack } from './test-stack.ts'

const steps = 40
// Processes start slowly where everything else is tested at the same time.
const patienceMs = 180_000

describe('a run survives', { timeout: patienceMs }, () => {
  const stack = new TestStack()
  beforeAll(() => stack.start())
  afterAll(() => stack.end())

  const launch = async () => {
    const [node] = await stack.api.nodes()
    const config = runConfigSchema.parse({
      model: { path: node!.hello.models[0]!.path },
      data: { source: { kind: 'task', task: 'programs', trainExamples: 512 }, maxLength: 256 },
      method: { name: 'hd-pissa', rank: 2 },
      parallel: { devices: 2 },
      training: { globalBatchSize: 8, microBatchSize: 4, maxSteps: steps },
      evaluation: { atEnd: false },
      checkpoint: { everySteps: 10 },
    })
    return (await stack.api.createRuns([config]))[0]!.runId
  }
  /** Waits for the condition, or for an end that makes it impossible. */
  const until = async (runId: string, condition: (run: RunView) => boolean): Promise<RunView> => {
    const run = await vi.waitFor(
      async () => {
        const view = await stack.api.run(runId)
        expect(condition(view) || isSettled(view.state), `still ${view.state}, step ${view.step}`).toBe(true)
        return view
      },
      { timeout: 150_000, interval: 50 },
    )
    expect(condition(run), `${run.state}: ${run.error?.message}`).toBe(true)
    return run
  }
  const keptSteps = async (runId: string) => {
    const query = `/api/runs/${runId}/scalars?names=train%2Floss&points=1000`
    const answer = scalarsAnswer.parse(
      await (await fetch(new URL(query, stack.address), { headers: stack.headers })).json(),
    )
    return answer.series[0]!.steps
  }
  const everyStep = Array.from({ length: steps }, (_, index) => index + 1)

  it('the server’s death: training goes on, and every step is kept once', async () => {
    const runId = await launch()
    await until(runId, (run) => run.step >= 5)
    await stack.stopServer('SIGKILL')
    await stack.restartServer()
    const run = await until(runId, ({ state }) => state === 'finished')
    expect(run.attempt).toBe(1)
    expect(await keptSteps(runId)).toEqual(everyStep)
  })

  it('the death of its node: it goes on from the newest checkpoint as the next attempt', async () => {
    const runId = await launch()
    await until(runId, (run) => run.checkpoint !== null)
    await stack.stopNode('SIGKILL')
    await stack.startNode()
    const run = await until(runId, ({ state }) => state === 'finished')
    expect(run.attempt).toBe(2)
    expect(await keptSteps(runId)).toEqual(everyStep)
  })

  it('its own death as a failure with the signal’s name, and a retry takes it to its end', async () => {
    const runId = await launch()
    const { name } = await until(runId, (run) => run.step >= 5)
    const line = stack.nodeLog().match(new RegExp(`${name}: started \\(attempt 1, process (\\d+)\\)`))
    process.kill(Number(line![1]), 'SIGKILL')
    const failed = await until(runId, ({ state }) => state === 'failed')
    expect(failed.error).toMatchObject({ code: 'RUN_CRASHED', message: expect.stringContaining('SIGKILL') })
    await stack.api.command(runId, 'retry')
    const run = await until(runId, ({ state }) => state === 'finished')
    expect(run.attempt).toBe(2)
  })
})
