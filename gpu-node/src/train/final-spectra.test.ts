/** Spectra after the last step: side by side, in the order of the modules, the same bits on any number of threads. */
import type { RecordBodyOf } from '@rankscope/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { wasmBackend } from '../backends/wasm.ts'
import { closeSpectra } from '../linalg/index.ts'
import type { Adaptation, TargetModule } from '../methods/method.ts'
import { timeLeft } from '../run/time-left.ts'
import { type ToyTraining, toyTraining } from '../testing/training/toy-training.ts'
import { BaseWeights } from './base-weights.ts'
import { SkippedSpectra } from './skipped-spectra.ts'
import { SpectraRecorder } from './spectra.ts'

let toy: ToyTraining
const before = new Map<string, Float32Array>()
beforeAll(async () => {
  await wasmBackend.start({ threads: 1 })
  toy = await toyTraining({
    method: { name: 'hd-pissa', rank: 2, attribution: true },
    parallel: { devices: 2 },
  })
  for (const { name, weight } of toy.targets) before.set(name, (await weight.data()).slice() as Float32Array)
  await toy.run(0, 3)
})
afterAll(async () => {
  toy.dispose()
  await closeSpectra()
})

/** What is recorded, and the order in which modules are taken and told; `watched` had a live spectrum before. */
async function final(threads: number, watched: readonly TargetModule[] = []) {
  const order: string[] = []
  const told: RecordBodyOf<'spectrum'>[] = []
  const progress: number[] = []
  const { adaptation } = toy.training
  const listened: Adaptation = Object.assign(Object.create(adaptation), {
    delta(target: TargetModule, base: () => Promise<Float32Array>) {
      order.push(`take ${target.name}`)
      return adaptation.delta(target, base)
    },
  })
  const recorder = new SpectraRecorder(
    toy.config,
    listened,
    new BaseWeights(({ name }) => before.get(name)!.slice()),
    (record) => {
      told.push(record)
      if (record.final && record.part === 'total') order.push(`tell ${record.module}`)
    },
    (message) => expect.unreachable(message),
    new SkippedSpectra(),
  )
  if (watched.length > 0) await recorder.record(2, watched)
  await recorder.settle()
  order.length = 0
  const totals = await recorder.recordFinal(3, toy.targets, threads, (done) => progress.push(done))
  await closeSpectra()
  const records = told
    .filter((record) => record.final)
    .map(({ elapsedMs: _, ...record }) => record)
    .sort((a, b) => `${a.module} ${a.part}`.localeCompare(`${b.module} ${b.part}`))
  return { order, records, progress, names: totals.map(({ target }) => target.name) }
}

describe('final spectra', () => {
  it('are taken side by side on the threads that there are, and one after the other on one', async () => {
    const [first, second] = toy.targets.map(({ name }) => name)
    expect((await final(1)).order.slice(0, 3)).toEqual([`take ${first}`, `tell ${first}`, `take ${second}`])
    expect((await final(2)).order.slice(0, 2)).toEqual([`take ${first}`, `take ${second}`])
  })

  it('are the same to the bit, in the order of the modules, with progress to the end', async () => {
    const [one, three] = [await final(1), await final(3)]
    expect(three.records).toEqual(one.records)
    const names = toy.targets.map(({ name }) => name)
    for (const { names: found, progress } of [one, three]) {
      expect(found).toEqual(names)
      expect(progress).toHaveLength(names.length + 1)
      expect(progress).toEqual([...progress].sort((a, b) => a - b))
      expect([progress[0], progress.at(-1)]).toEqual([0, expect.closeTo(1, 12)])
    }
  })

  it('know what was seen of a module before, on whichever threads the others are', async () => {
    const watched = toy.targets.slice(2, 3)
    const [one, three] = [await final(1, watched), await final(3, watched)]
    expect(three.records).toEqual(one.records)
    const overTime = ({ profiles }: (typeof one.records)[number]) => (profiles?.similarity?.length ?? 0) > 0
    expect(new Set(one.records.filter(overTime).map(({ module }) => module))).toEqual(
      new Set(watched.map(({ name }) => name)),
    )
  })

  it('tell how long they still take, once something can be said', () => {
    expect(timeLeft(0, 5000)).toBeNull()
    expect(timeLeft(0.25, 5000)).toBe('about 15 s left')
    expect(timeLeft(0.1, 60_000)).toBe('about 9 min left')
    expect(timeLeft(1, 5000)).toBeNull()
  })
})
