/** Whole runs on a real model: what they tell, how they are interrupted, how they fail. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  fromFloat64Bytes,
  type RecordBody,
  type RecordBodyOf,
  type RecordKind,
  type RunConfigInput,
  recordBodySchema,
  runConfigSchema,
} from '@rankscope/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../model/folder.ts'
import { openSafetensors, readFloat32 } from '../model/safetensors.ts'
import { sharedMissing, sharedPath } from '../testing/shared-material.ts'
import { executeRun, RunControl, type RunEnvironment } from './run.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rankscope-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const mpiMissing =
  spawnSync('mpirun', ['--version']).status === 0
    ? null
    : 'skipped: mpirun is not installed (Debian: openmpi-bin, libopenmpi-dev)'

const base: RunConfigInput = {
  model: { path: 'stories260K' },
  data: {
    source: {
      kind: 'tokens',
      path: 'gsm8k_stories260K_a.jsonl',
      evaluationPath: 'gsm8k_stories260K_b.jsonl',
    },
    maxLength: 192,
    shuffle: true,
    limit: 60,
  },
  method: { name: 'hd-pissa', rank: 2 },
  parallel: { devices: 2 },
  optimizer: { learningRate: 1e-3 },
  training: { globalBatchSize: 4, microBatchSize: 2, maxSteps: 6 },
  evaluation: { examples: 8 },
  spectra: { everySteps: 2, modules: ['model.layers.0.self_attn.q_proj'], atEnd: false },
}

async function run(changes: Partial<RunConfigInput> = {}, surroundings: Partial<RunEnvironment> = {}) {
  const records: RecordBody[] = []
  const control = surroundings.control ?? new RunControl()
  const outcome = await executeRun(runConfigSchema.parse({ ...base, ...changes }), {
    roots: { models: [sharedPath('data/models')], data: [sharedPath('golden/data')], anywhere: false },
    folder: join(folder, 'run'),
    cacheFolder: join(folder, 'cache'),
    threads: 1,
    memoryBytes: 4 * 2 ** 30,
    checkpointFrom: null,
    ...surroundings,
    control,
    emit(body) {
      records.push(body)
      surroundings.emit?.(body)
    },
  })
  const all = <K extends RecordKind>(kind: K) =>
    records.filter((body): body is RecordBodyOf<K> => body.kind === kind)
  const losses = all('scalars').flatMap(({ step, values }) => {
    const loss = values['train/loss']
    return loss === undefined ? [] : [[step, loss] as const]
  })
  return { outcome, records, all, losses }
}

describe.skipIf(sharedMissing)(`runs ${sharedMissing ?? ''}`, () => {
  it('a whole run tells its start, every step, spectra of exact steps, evaluations, exports and a summary', async () => {
    const { outcome, records, all, losses } = await run({
      evaluation: { examples: 8, everySteps: 3, atStart: true },
      spectra: { everySteps: 2, modules: ['model.layers.0.self_attn.q_proj'], atEnd: true },
      targetModules: ['q_proj'],
      export: { model: true },
    })
    expect(outcome.state).toBe('finished')
    for (const body of records) expect(recordBodySchema.safeParse(body).success, body.kind).toBe(true)
    expect(records[0]).toMatchObject({ kind: 'lifecycle', state: 'running' })
    expect(records.at(-1)).toMatchObject({ kind: 'lifecycle', state: 'finished' })
    expect(all('start')[0]).toMatchObject({ totalSteps: 6, startStep: 0, totalParameters: 260_032 })
    expect(losses.map(([step]) => step)).toEqual([1, 2, 3, 4, 5, 6])
    expect(all('evaluation').map(({ step }) => step)).toEqual([0, 3, 6])
    const live = all('spectrum').filter(({ final }) => !final)
    expect(
      live.every(({ step, module }) => step % 2 === 0 && module === 'model.layers.0.self_attn.q_proj'),
    ).toBe(true)
    expect(live.length).toBeGreaterThan(0)
    const final = all('spectrum').filter((spectrum) => spectrum.final)
    expect(final).toHaveLength(5)
    for (const { singularValues, rows, columns } of final)
      expect(fromFloat64Bytes(singularValues)).toHaveLength(Math.min(rows, columns))
    // ΔW against W: the first live spectrum, others as time allows, all at the end with vectors to compare runs by.
    const analysed = all('spectrum').filter(({ profiles }) => profiles !== undefined)
    expect(analysed[0]).toBe(live[0])
    expect(final.every((spectrum) => analysed.includes(spectrum))).toBe(true)
    for (const { measures, profiles, final: isFinal, rows, frobenius } of analysed) {
      expect(measures.relativeFrobeniusNorm).toBeGreaterThan(0)
      expect(measures.relativeFrobeniusNorm).toBeLessThan(frobenius)
      expect(measures.bfloat16Visible).toBeGreaterThan(0)
      const sizes = fromFloat64Bytes(profiles!.inputSizes!)
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(rows)
      expect(profiles!.inputVectors?.byteLength).toBe(isFinal ? rows * 16 * 8 : undefined)
    }
    const watched = final.find(({ module }) => module === live[0]!.module)!
    const [step, similarity] = fromFloat64Bytes(watched.profiles!.similarity!)
    expect(step).toBe(live[0]!.step)
    expect(similarity).toBeGreaterThan(0)
    expect(similarity).toBeLessThanOrEqual(1)
    expect(all('summary')[0]).toMatchObject({ steps: 6, finalLoss: losses.at(-1)![1] })
    const model = all('artifact')[0]!
    expect(openModelFolder(model.path).config.layers).toBe(5)
  })

  it('with attribution, spectra of all parts carry tail ratios at the marks, what is beyond 2Kr, and the noise floor', async () => {
    const module = 'model.layers.0.self_attn.q_proj'
    const { all } = await run({
      method: { name: 'hd-pissa', rank: 2, attribution: true },
      spectra: { everySteps: 6, modules: [module], atEnd: true },
      targetModules: ['q_proj'],
    })
    for (const final of [false, true]) {
      const of = (part: string) =>
        all('spectrum').find((s) => s.final === final && s.part === part && s.module === module)!
      const [total, first, second, rounding] = ['total', 'first-order', 'second-order', 'rounding'].map(of)
      for (const { singularValues, measures } of [total!, first!, second!, rounding!]) {
        const s = fromFloat64Bytes(singularValues)
        // K = r = 2: the marks are r = 2, 2r = Kr = 4 and 2Kr = 8; of 64 values, 5 to 64 lie beyond the second.
        expect(measures.tailRatioAt2r).toBe(s[4 + 30]! / s[3]!)
        expect(measures.tailRatioAtKr).toBe(measures.tailRatioAt2r)
        expect(measures.tailRatioAt2Kr).toBe(s[8 + 28]! / s[7]!)
      }
      expect(first!.measures.tailRatioAt2Kr).toBeLessThan(1e-12)
      expect(first!.measures).not.toHaveProperty('beyondFirstOrder')
      const beyond = [total, second, rounding].map((part) => part!.measures.beyondFirstOrder!)
      // P ΔW Q = P C Q + P E Q
      expect(beyond[0]).toBeLessThanOrEqual((beyond[1]! + beyond[2]!) * (1 + 1e-9))
      expect(beyond[0]).toBeGreaterThanOrEqual(Math.abs(beyond[1]! - beyond[2]!) * (1 - 1e-9))
      expect(beyond[2]).toBeLessThanOrEqual(rounding!.frobenius)
      // Independent roundings, one per step: their largest singular value is about the floor.
      const largest = fromFloat64Bytes(rounding!.singularValues)[0]!
      expect(largest / total!.measures.noiseFloor!).toBeGreaterThan(0.5)
      expect(largest / total!.measures.noiseFloor!).toBeLessThan(2)
      expect(second!.measures).not.toHaveProperty('noiseFloor')
    }
  })

  it.each([
    { name: 'hd-pissa', rank: 2 },
    { name: 'hd-pissa', rank: 2, weightStorage: 'bfloat16' },
    { name: 'hd-pissa', rank: 2, compensated: 'separate' },
    { name: 'pissa', rank: 2 },
    { name: 'dora', rank: 2 },
  ] as const)(
    'leaves ΔW and its best adapter of a rank, which together with the base are the exported model: %j',
    async (method) => {
      const name = 'model.layers.0.self_attn.q_proj'
      const { all, outcome } = await run({
        method,
        spectra: { everySteps: null, atEnd: false },
        targetModules: ['q_proj'],
        export: { model: true, delta: true, loraRank: 64 },
      })
      expect(outcome.state).toBe('finished')
      const path = (kind: string) => all('artifact').find(({ artifact }) => artifact === kind)!.path
      const read = (modelFolder: string) => {
        const opened = openModelFolder(modelFolder)
        return opened.read(opened.specs.find((spec) => spec.name === `${name}.weight`)!)
      }
      const [before, after] = [read(sharedPath('data/models/stories260K')), read(path('model'))]
      const [m, n] = [64, 64]
      const changed = Float64Array.from(after, (value, i) => value - before[i]!)
      const size = Math.hypot(...changed)
      const stored = openSafetensors(join(path('delta'), 'delta.safetensors')).tensors.get(`${name}.weight`)!
      const delta = readFloat32(stored)
      // A difference of two float32 numbers need not be one.
      const off = changed.map((value, i) => value - delta[(i % n) * m + Math.floor(i / n)]!)
      // Where ΔW is known apart from W, the merged weights lack what rounding them took.
      const isInPlace = method.name === 'hd-pissa' && !('compensated' in method)
      const rounding = isInPlace ? 0 : 2 ** -24 * Math.hypot(...after)
      expect(Math.hypot(...off)).toBeLessThan(2 ** -24 * size + rounding)
      const adapter = openSafetensors(join(path('lora'), 'adapter_model.safetensors')).tensors
      const factor = (part: string) => readFloat32(adapter.get(`base_model.model.${name}.${part}.weight`)!)
      const [a, b] = [factor('lora_A'), factor('lora_B')]
      const product = changed.map((_, i) => {
        let sum = 0
        for (let k = 0; k < 64; k++) sum += a[k * m + Math.floor(i / n)]! * b[(i % n) * 64 + k]!
        return sum
      })
      expect(Math.hypot(...changed.map((value, i) => value - product[i]!)) / size).toBeLessThan(
        1e-6 + rounding / size,
      )
      const report = JSON.parse(readFileSync(join(path('lora'), 'truncation.json'), 'utf8'))
      expect(Object.keys(report.modules)).toHaveLength(5)
      expect(report.modules[name].relativeError).toBeLessThan(1e-6)
      expect(all('log').some(({ message }) => message.includes('‖ΔW‖_F is left out'))).toBe(true)
    },
  )

  it('paused at a step, a run goes on from its checkpoint with the same losses', async () => {
    const whole = await run({})
    const control = new RunControl()
    const first = await run(
      {},
      {
        control,
        emit: (body) => {
          if (body.kind === 'scalars' && body.step === 3) control.request('pause')
        },
      },
    )
    if (first.outcome.state !== 'paused') throw new Error(`the run is ${first.outcome.state}`)
    const second = await run({}, { checkpointFrom: first.outcome.checkpoint })
    expect(second.all('start')[0]).toMatchObject({ startStep: 3 })
    expect([...first.losses, ...second.losses]).toEqual(whole.losses)
    expect(second.all('summary')[0]).toMatchObject({ tokens: whole.all('summary')[0]!.tokens })
    const { backend, computedBy, warnings } = second.all('start')[0]!
    expect(computedBy).toMatch(new RegExp(`^${backend}: .`))
    const moved = /the checkpoint was computed by .*, and the run goes on with/
    expect(warnings).not.toContainEqual(expect.stringMatching(moved))
    const elsewhere = await run(
      { resources: { backend: 'wasm' } },
      { checkpointFrom: first.outcome.checkpoint },
    )
    expect(elsewhere.all('start')[0]!.warnings).toContainEqual(expect.stringMatching(moved))
    expect(elsewhere.outcome.state).toBe('finished')
  })

  it('a checkpoint on request does not end the run; a stop does, after the step', async () => {
    const control = new RunControl()
    const { outcome, all, losses } = await run(
      {},
      {
        control,
        emit: (body) => {
          if (body.kind !== 'scalars') return
          if (body.step === 2) control.request('checkpoint')
          if (body.step === 4) control.request('stop')
        },
      },
    )
    expect(outcome).toEqual({ state: 'stopped', steps: 4 })
    expect(losses).toHaveLength(4)
    expect(all('checkpoint').map(({ step }) => step)).toEqual([2])
    expect(existsSync(all('checkpoint')[0]!.path)).toBe(true)
  })

  it('watching more or less changes no loss', async () => {
    const some = await run({ spectra: { everySteps: 1, atEnd: false } })
    const none = await run({ spectra: { everySteps: null, atEnd: false }, evaluation: { atEnd: false } })
    expect(some.losses).toEqual(none.losses)
  })

  it.each<[string, Partial<RunConfigInput>, Partial<RunEnvironment>, string, RegExp]>([
    ['no such model', { model: { path: 'nothing' } }, {}, 'MODEL_NOT_FOUND', /nothing/],
    ['a model elsewhere', { model: { path: '/etc' } }, {}, 'PATH_FORBIDDEN', /\/etc/],
    ['a path that climbs out', { model: { path: '../golden' } }, {}, 'PATH_FORBIDDEN', /golden/],
    [
      'no such data',
      { data: { source: { kind: 'tokens', path: 'nothing.jsonl' } } },
      {},
      'DATA_NOT_FOUND',
      /nothing.jsonl/,
    ],
    ['too little memory', {}, { memoryBytes: 2 ** 20 }, 'OUT_OF_MEMORY', /needs about 0\.\d+ GiB/],
    [
      'more components than there are',
      { method: { name: 'hd-pissa', rank: 40 } },
      {},
      'RANK_TOO_LARGE',
      /q_proj/,
    ],
    ['an unknown module to watch', { spectra: { modules: ['lm_head'] } }, {}, 'CONFIG_INVALID', /lm_head/],
    ['settings that contradict', { training: { globalBatchSize: 5 } }, {}, 'CONFIG_INVALID', /multiple/],
    [
      'products that the backend has not',
      { training: { products: 'TF32' }, resources: { backend: 'native' } },
      {},
      'CONFIG_INVALID',
      /TF32 needs the backend cuda, and resources.backend is native/,
    ],
    ['no such checkpoint', {}, { checkpointFrom: '/nowhere' }, 'CHECKPOINT_BROKEN', /nowhere/],
    [
      'Adam without epsilon, where a gradient is zero',
      { method: { name: 'lora', rank: 2 }, optimizer: { epsilon: 0 } },
      {},
      'NUMERIC',
      /step \d+/,
    ],
  ])('%s ends as failed with a coded error', async (_, changes, surroundings, code, message) => {
    const { outcome, records } = await run(changes, surroundings)
    expect(outcome).toMatchObject({
      state: 'failed',
      error: { code, message: expect.stringMatching(message) },
    })
    expect(records.at(-1)).toMatchObject({ kind: 'lifecycle', state: 'failed', error: { code } })
  })

  it.skipIf(mpiMissing).each([
    { name: 'hd-pissa', rank: 2 },
    { name: 'lora', rank: 2, dropout: 0.1 },
  ] as const)(`two MPI processes are two virtual devices: %j ${mpiMissing ?? ''}`, async (method) => {
    const virtual = await run({ method })
    const control = new RunControl()
    const processes = { method, parallel: { devices: 2, mode: 'processes' } } as const
    const ranks = await run(processes, { folder: join(folder, 'ranks') })
    expect(ranks.outcome.state).toBe('finished')
    expect(ranks.losses.map(([step]) => step)).toEqual(virtual.losses.map(([step]) => step))
    // Every process receives what the other's gradients or adapters' changes are, and says so; alone, nothing.
    expect(virtual.all('summary')[0]).not.toHaveProperty('receivedBytesPerStep')
    const [summary] = ranks.all('summary')
    const received = ranks.all('scalars').flatMap(({ values }) => values['system/receivedBytes'] ?? [])
    expect(received).toHaveLength(6)
    expect(new Set(received)).toEqual(new Set([summary!.receivedBytesPerStep]))
    const { trainableParameters } = summary!
    expect(received[0]! - 4 * trainableParameters).toBeGreaterThan(0)
    expect(received[0]! - 4 * trainableParameters).toBeLessThan(64)
    ranks.losses.forEach(([, loss], i) => {
      expect(loss / virtual.losses[i]![1]).toBeCloseTo(1, 5)
    })
    // Paused as processes, the run goes on with virtual devices.
    const paused = await run(processes, {
      folder: join(folder, 'ranks'),
      control,
      emit: (body) => {
        if (body.kind === 'start') control.request('pause')
      },
    })
    if (paused.outcome.state !== 'paused') throw new Error(`the run is ${paused.outcome.state}`)
    const resumed = await run({ method }, { checkpointFrom: paused.outcome.checkpoint })
    const joined = [...paused.losses, ...resumed.losses]
    expect(joined).toHaveLength(virtual.losses.length)
    expect(joined.at(-1)![1] / virtual.losses.at(-1)![1]).toBeCloseTo(1, 5)
  })

  it.skipIf(mpiMissing)('a failure of the ranks is the failure of the run', async () => {
    const parallel = { devices: 2, mode: 'processes' } as const
    const { outcome, records } = await run({ parallel, method: { name: 'hd-pissa', rank: 40 } })
    expect(outcome).toMatchObject({ state: 'failed', error: { code: 'RANK_TOO_LARGE' } })
    const states = records.flatMap((body) => (body.kind === 'lifecycle' ? [body.state] : []))
    expect(states).toEqual(['running', 'failed'])
  })

  it.skipIf(mpiMissing)(
    'ranks that are paused at the step of a checkpoint do not write it again, nor wait for one another',
    async () => {
      const control = new RunControl()
      const { outcome, all } = await run(
        {
          parallel: { devices: 2, mode: 'processes' },
          training: { globalBatchSize: 4, microBatchSize: 2, epochs: 100, maxSteps: 800 },
          checkpoint: { everySteps: 1 },
          spectra: { everySteps: null, atEnd: false },
        },
        {
          folder: join(folder, 'paused ranks'),
          control,
          emit: (body) => {
            if (body.kind === 'scalars') control.request('pause')
          },
        },
      )
      expect(outcome.state).toBe('paused')
      const steps = all('checkpoint').map(({ step }) => step)
      expect(new Set(steps).size).toBe(steps.length)
    },
    60_000,
  )

  it('a broken line of the data is named', async () => {
    writeFileSync(join(folder, 'broken.jsonl'), '{"input_ids":[1,2],"labels":[1,2]}\n{"input_ids":[1,')
    const roots = { models: [sharedPath('data/models')], data: [folder], anywhere: false }
    const { outcome } = await run({ data: { source: { kind: 'tokens', path: 'broken.jsonl' } } }, { roots })
    expect(outcome).toMatchObject({
      error: { code: 'DATA_BROKEN', message: expect.stringContaining('broken.jsonl:2') },
    })
  })
})
