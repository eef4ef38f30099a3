/** One run over several hosts: two network namespaces, launched by the server, without a shared file system. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  estimateAnswer,
  type RunConfigInput,
  type RunView,
  runConfigSchema,
  scalarsAnswer,
} from '@rankscope/protocol'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Cluster } from './cluster.ts'
import { hostsMissing } from './hosts.ts'

const missing = hostsMissing()
const shared = (changes: Partial<RunConfigInput>) =>
  runConfigSchema.parse({
    model: { path: 'rankscope-mini' },
    data: { source: { kind: 'task', task: 'arithmetic', trainExamples: 64 } },
    method: { name: 'hd-pissa', rank: 2 },
    parallel: { devices: 4, mode: 'processes' },
    training: { globalBatchSize: 8, microBatchSize: 2, maxSteps: 6, epochs: 100 },
    targetModules: ['q_proj'],
    evaluation: { atEnd: false },
    spectra: { everySteps: null, atEnd: false },
    export: { model: true },
    resources: { backend: 'wasm' },
    ...changes,
  })

describe.skipIf(missing)(`one run over two hosts ${missing ?? ''}`, { timeout: 600_000 }, () => {
  // Host 2 has room for all four ranks; it is held back but where it is compared with.
  const cluster = new Cluster('g', [2, 2, 4])
  const both = ['2 on host0', '2 on host1']
  let nodeIds: string[]
  beforeAll(async () => {
    await cluster.start()
    const nodes = await cluster.api.nodes()
    nodeIds = [0, 1, 2].map((i) => nodes.find(({ hello }) => hello.name === `host${i}`)!.nodeId)
    await hold(2, 'draining')
  }, 600_000)
  afterAll(() => cluster.end())
  afterEach(async () => {
    for (const i of [0, 1]) await expect.poll(() => cluster.leftOn(i), { timeout: 10_000 }).toEqual([])
  })

  const hold = async (index: number, mode: 'open' | 'draining') => {
    const answer = await fetch(`${cluster.url}/api/nodes/${nodeIds[index]}`, {
      method: 'PATCH',
      headers: cluster.headers,
      body: JSON.stringify({ mode }),
    })
    expect(answer.status, await answer.text()).toBeLessThan(300)
  }
  const launch = async (changes: Partial<RunConfigInput>) =>
    (await cluster.api.createRuns([shared(changes)]))[0]!.runId
  const lossesOf = async (runId: string) => {
    const query = `/api/runs/${runId}/scalars?names=train%2Floss&points=1000`
    const answer = await fetch(cluster.url + query, { headers: cluster.headers })
    const { steps, values } = scalarsAnswer.parse(await answer.json()).series[0] as never as {
      steps: number[]
      values: number[]
    }
    return { steps, values }
  }
  const weightsOf = (run: RunView) => {
    const file = join(cluster.runFolder(nodeIds.indexOf(run.nodeId!), run), 'model', 'model.safetensors')
    return createHash('sha256').update(readFileSync(file)).digest('hex')
  }
  const ended = (run: RunView) => run.state === 'finished'

  it('is placed on both, all or nothing, and the form is told where', async () => {
    const ask = async (devices: number) => {
      const config = shared({
        parallel: { devices, mode: 'processes' },
        training: { globalBatchSize: 2 * devices, microBatchSize: 2 },
      })
      const body = JSON.stringify({ configs: [config] })
      const answer = await fetch(`${cluster.url}/api/estimate`, {
        method: 'POST',
        headers: cluster.headers,
        body,
      })
      return estimateAnswer.parse(await answer.json()).placements[0]!
    }
    const { devices, waitingFor } = await ask(4)
    expect(waitingFor).toBeNull()
    expect(devices.map((one) => `${one.devices} on ${one.name}`).sort()).toEqual(both)
    const tooMany = await ask(8)
    expect(tooMany.devices).toEqual([])
    expect(tooMany.waitingFor).toContain('8 device slots')
    expect(tooMany.waitingFor).toContain('host0 has 2 of 2 free')
  })

  it.each([['hd-pissa', { name: 'hd-pissa', rank: 2 }]] as const)(
    '%s has the bits of four processes on one host',
    async (_, method) => {
      const apart = await cluster.until(await launch({ method }), ended)
      expect(apart.gang.map(({ name, devices: count }) => `${count} on ${name}`).sort()).toEqual(both)
      await hold(2, 'open')
      const together = await cluster.until(await launch({ method }), ended)
      await hold(2, 'draining')
      expect(together.gang).toEqual([])
      const losses = await lossesOf(apart.runId)
      expect(losses.steps).toEqual([1, 2, 3, 4, 5, 6])
      expect(losses).toEqual(await lossesOf(together.runId))
      expect(weightsOf(apart)).toBe(weightsOf(together))
    },
  )
})
