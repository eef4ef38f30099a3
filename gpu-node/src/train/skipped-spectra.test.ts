/** Live spectra that are due are told or counted, never neither; a run that waits has all of them. */
import type { RecordBodyOf, RunConfig } from '@rankscope/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { wasmBackend } from '../backends/wasm.ts'
import { closeSpectra } from '../linalg/index.ts'
import type { Adaptation, TargetModule } from '../methods/method.ts'
import { type ToyTraining, toyTraining } from '../testing/training/toy-training.ts'
import { BaseWeights } from './base-weights.ts'
import { SkippedSpectra } from './skipped-spectra.ts'
import { SpectraRecorder } from './spectra.ts'

const steps = [1, 2, 3, 4, 5, 6]
let toy: ToyTraining
const before = new Map<string, Float32Array>()
beforeAll(async () => {
  await wasmBackend.start({ threads: 1 })
  toy = await toyTraining({ method: { name: 'lora', rank: 2 } })
  for (const { name, weight } of toy.targets) before.set(name, (await weight.data()).slice() as Float32Array)
  await toy.run(0, 2)
})
afterAll(async () => {
  toy.dispose()
  await closeSpectra()
})

/** Snapshots of every step, one after the other as fast as they can be taken, and what became of them. */
async function live(
  spectra: Partial<RunConfig['spectra']>,
  end: (recorder: SpectraRecorder) => Promise<void> = (recorder) => recorder.settle(),
  delta: Adaptation['delta'] = (target, base) => toy.training.adaptation.delta(target, base),
) {
  const told: RecordBodyOf<'spectrum'>[] = []
  const warnings: string[] = []
  const skipped = new SkippedSpectra()
  const adaptation: Adaptation = Object.assign(Object.create(toy.training.adaptation), { delta })
  const recorder = new SpectraRecorder(
    { ...toy.config, spectra: { ...toy.config.spectra, ...spectra } },
    adaptation,
    new BaseWeights(({ name }) => before.get(name)!.slice()),
    (record) => told.push(record),
    (message) => warnings.push(message),
    skipped,
  )
  await closeSpectra() // the first snapshot waits for its thread, so that others come meanwhile
  const left: number[] = []
  for (const step of steps) {
    await recorder.record(step, toy.targets)
    left.push(told.length)
  }
  await end(recorder)
  const count = (reason: string, { name }: Pick<TargetModule, 'name'>) =>
    skipped.counts[`${reason}/${name}`] ?? 0
  return { told, warnings, skipped, left, count }
}

describe('live spectra', () => {
  it('that give way to newer ones are counted, module by module: told and counted are what was due', async () => {
    const { told, skipped, count } = await live({})
    for (const target of toy.targets) {
      const here = told.filter(({ module }) => module === target.name)
      expect(here.length + count('spectra/overtaken', target)).toBe(steps.length)
      expect(here.at(-1)!.step).toBe(steps.at(-1))
      expect(count('analyses/putOff', target)).toBeGreaterThanOrEqual(steps.length - 1)
    }
    const overtaken = toy.targets.reduce((sum, target) => sum + count('spectra/overtaken', target), 0)
    expect(overtaken).toBeGreaterThan(0)
    expect(skipped.sentence()).toContain(`${overtaken} overtaken by a newer snapshot (`)
    expect(skipped.takeChanged()).toEqual(skipped.counts)
    expect(skipped.takeChanged()).toEqual({})
  })

  it('are all told with their analyses before training goes on, where the run waits', async () => {
    const { told, skipped, left } = await live({ wait: true })
    expect(skipped.counts).toEqual({})
    expect(skipped.sentence()).toBeNull()
    expect(left).toEqual(steps.map((step) => step * toy.targets.length))
    expect(told.map(({ step }) => step)).toEqual(steps.flatMap((step) => toy.targets.map(() => step)))
    expect(told.every(({ measures }) => measures.intruders !== undefined)).toBe(true)
  })

  it('that are under way when the run ends are counted', async () => {
    const { told, count } = await live({}, (recorder) => recorder.abandon())
    for (const target of toy.targets) {
      const here = told.filter(({ module }) => module === target.name)
      const counted = count('spectra/overtaken', target) + count('spectra/unfinished', target)
      expect(here.length + counted).toBe(steps.length)
      expect(count('spectra/unfinished', target)).toBeGreaterThan(0)
    }
  })

  it('that cannot be decomposed are counted beside their warning', async () => {
    const [broken, whole] = toy.targets as [TargetModule, TargetModule]
    const { warnings, count, told } = await live({ wait: true }, undefined, async (target, base) => {
      const parts = await toy.training.adaptation.delta(target, base)
      for (const { source } of parts)
        if (target === broken && source.kind === 'dense') source.after[0] = Number.NaN
        else if (target === broken && source.kind === 'factored') source.terms[0]!.left[0] = Number.NaN
      return parts
    })
    expect(count('spectra/failed', broken)).toBe(steps.length)
    expect(count('spectra/failed', whole)).toBe(0)
    expect(warnings).toHaveLength(steps.length)
    expect(told.some(({ module }) => module === broken.name)).toBe(false)
  })
})

it('counts go on from those of a checkpoint', () => {
  const skipped = new SkippedSpectra({ 'spectra/overtaken/a': 3 })
  expect(skipped.takeChanged()).toEqual({})
  skipped.count('overtaken', 'a')
  expect(skipped.takeChanged()).toEqual({ 'spectra/overtaken/a': 4 })
})
