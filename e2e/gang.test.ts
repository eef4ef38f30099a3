/** One run over several hosts: network namespaces, launched by the server, without a shared file system. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { estimateAnswer, type RunConfigInput, runConfigSchema } from '@rankscope/protocol'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { writeToyModel } from '../bench/chaos/toy-model.ts'
import { drawing } from '../bench/draw.ts'
import { type Expected, GangTrial } from '../bench/gang/trial.ts'
import { Cluster } from './cluster.ts'
import { hostsMissing } from './hosts.ts'

const missing = hostsMissing()
const shared = (changes: Partial<RunConfigInput>) =>
  runConfigSchema.parse({
    model: { path: 'toy' },
    data: { source: { kind: 'task', task: 'programs', trainExamples: 64 }, maxLength: 256 },
    parallel: { devices: 4, mode: 'processes' },
    optimizer: { learningRate: 1e-3 },
    training: { globalBatchSize: 4, microBatchSize: 1, maxSteps: 3, epochs: 1000 },
    evaluation: { atEnd: false },
    spectra: { everySteps: null, atEnd: false },
    checkpoint: { everySteps: 10, keep: 2 },
    export: { model: true },
    resources: { backend: 'wasm', threads: 1 },
    ...changes,
  })
const hdPissa = { name: 'hd-pissa', rank: 2 } as const
const methods = {
  'lora with dropout': { name: 'lora', rank: 2, dropout: 0.1 },
  full: { name: 'full' },
} as const

describe.skipIf(missing)(`one run over two hosts ${missing ?? ''}`, { timeout: 600_000 }, () => {
  const models = mkdtempSync(join(tmpdir(), 'rankscope-gang-'))
  // Host 2 has room for all four ranks; it is held back but where it is compared with.
  const cluster = new Cluster('g', [2, 2, 4], { models: [models] })
  const both = ['2 on host0', '2 on host1']
  const told: string[] = []
  let nodeIds: string[]
  beforeAll(async () => {
    await writeToyModel(join(models, 'toy'))
    await cluster.start()
    const nodes = await cluster.api.nodes()
    nodeIds = [0, 1, 2].map((i) => nodes.find(({ hello }) => hello.name === `host${i}`)!.nodeId)
    await hold(2, 'draining')
  }, 600_000)
  afterAll(async () => {
    await cluster.end()
    rmSync(models, { recursive: true, force: true })
  })
  afterEach(async () => {
    for (const i of [0, 1, 2]) await expect.poll(() => cluster.leftOn(i), { timeout: 10_000 }).toEqual([])
  })

  const hold = async (index: number, mode: 'open' | 'draining') => {
    const answer = await fetch(`${cluster.url}/api/nodes/${nodeIds[index]}`, {
      method: 'PATCH',
      headers: cluster.headers,
      body: JSON.stringify({ mode }),
    })
    expect(answer.status, await answer.text()).toBeLessThan(300)
  }
  const trialOf = (changes: Partial<RunConfigInput>) =>
    new GangTrial(cluster, shared(changes), drawing(1), (line) => told.push(line))
  /** The same configuration where one host has room for all of it. */
  const onOneHost = async (changes: Partial<RunConfigInput>): Promise<Expected> => {
    await hold(2, 'open')
    try {
      return await trialOf(changes).undisturbed([])
    } finally {
      await hold(2, 'draining')
    }
  }

  it('is placed on both, all or nothing, and the form is told where', async () => {
    const ask = async (devices: number) => {
      const config = shared({
        method: hdPissa,
        parallel: { devices, mode: 'processes' },
        training: { globalBatchSize: devices, microBatchSize: 1 },
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

  it.each(Object.entries(methods))('%s has the bits of four processes on one host', async (_, method) => {
    const apart = await trialOf({ method }).undisturbed(both)
    expect(apart.losses).toHaveLength(3)
    expect(await onOneHost({ method })).toEqual(apart)
  })

  it('hd-pissa has them even when a rank is killed, and then a host, whose part one without a checkpoint takes', async () => {
    const changes = {
      method: hdPissa,
      training: { globalBatchSize: 4, microBatchSize: 1, maxSteps: 36, epochs: 1000 },
      checkpoint: { everySteps: 4, keep: 2 },
    }
    const expected = await onOneHost(changes)
    const trial = trialOf(changes)
    const runId = await trial.launch()
    try {
      expect(await trial.disturb(runId, 'kill -9 of a rank', 4, false)).not.toBeNull()
      await hold(2, 'open')
      const { step } = await cluster.api.run(runId)
      expect(await trial.disturb(runId, 'kill -9 of all of a host that follows', step, false)).not.toBeNull()
      const run = await trial.judge(runId, expected)
      expect(trial.findings, told.join('\n')).toEqual([])
      expect(run.attempt).toBeGreaterThanOrEqual(3)
      expect(run.gang.map(({ name }) => name)).toContain('host2')
    } finally {
      await hold(2, 'draining')
    }
  })
})
