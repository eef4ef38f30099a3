/** A run that was saved and goes on is the run that never stopped. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runConfigSchema } from '@rankscope/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { selectBackend } from '../backends/select.ts'
import { listCheckpoints } from '../checkpoint-folders.ts'
import { everyMethod, type ToyConfig, toyTraining } from '../testing/training/toy-training.ts'
import { type CheckpointRules, openCheckpoint, openNewestCheckpoint, saveCheckpoint } from './checkpoint.ts'

let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rankscope-'))
  await selectBackend('auto', { threads: 1 })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const keeping = (rules: Partial<CheckpointRules> = {}) => ({
  rules: { keep: 2, keepBest: false, maxBytes: null, formerPlaces: [], startStep: 0, ...rules },
  score: null,
})
const progress = (step: number) => ({
  step,
  tokens: 10 * step,
  trainingSeconds: step,
  baseAccuracy: null,
  baseUntouchedLoss: null,
  skippedSpectra: {},
})

describe.each(everyMethod)('%s', (label, method, devices) => {
  it('goes on from a checkpoint with losses, norms and weights that are equal in every bit', async () => {
    const config: ToyConfig = {
      method,
      parallel: { devices },
      optimizer: { learningRate: 1e-2, maxGradNorm: 2, weightDecay: 'attribution' in method ? 0 : 0.01 },
      // Left-over micro-batches leak across the epoch's end, just where the run is cut.
      data: { shuffle: true, reshuffle: true, remainder: 'leak' },
      training: { globalBatchSize: 8 * devices, microBatchSize: 2, maxSteps: 7, epochs: 9 },
    }
    const whole = await toyTraining(config)
    const expected = await whole.run()
    const weights = await whole.weights()
    const state = new Map<string, Float32Array>()
    for (const { name, read } of whole.state.entries()) state.set(name, await read())
    whole.dispose()

    const cut = await toyTraining(config)
    const first = await cut.run(0, 4)
    const place = join(folder, label)
    const { path } = await saveCheckpoint(place, cut.state, cut.config, progress(4), keeping())
    cut.dispose()

    const opened = openCheckpoint(path, cut.config)
    expect(opened.progress).toEqual(progress(4))
    const resumed = await toyTraining(config, { initial: opened.initial })
    const second = await resumed.run(4)
    expect([...first, ...second]).toEqual(expected)
    expect(await resumed.weights()).toEqual(weights)
    for (const { name, read } of resumed.state.entries()) expect(await read(), name).toEqual(state.get(name))
    resumed.dispose()
  })
})

describe('checkpoint folders', () => {
  const config: ToyConfig = {
    method: { name: 'lora', rank: 2 },
    training: { globalBatchSize: 4, microBatchSize: 2, maxSteps: 1 },
  }
  const saved = async (place: string, step = 3) => {
    const toy = await toyTraining(config)
    const result = await saveCheckpoint(join(folder, place), toy.state, toy.config, progress(step), keeping())
    toy.dispose()
    return { ...result, config: toy.config }
  }

  it('only the newest are kept, and no half-written folder is left', async () => {
    const toy = await toyTraining(config)
    for (const step of [1, 2, 3, 12])
      await saveCheckpoint(join(folder, 'kept'), toy.state, toy.config, progress(step), keeping())
    expect(readdirSync(join(folder, 'kept')).sort()).toEqual(['step-00000003', 'step-00000012'])
    toy.dispose()
  })

  it('the rules hold for the run, not for each attempt, and what was given up goes', async () => {
    const toy = await toyTraining(config)
    const [first, second] = [join(folder, 'run', '1'), join(folder, 'run', '2')]
    const save = (place: string, step: number, rules: Partial<CheckpointRules>) =>
      saveCheckpoint(place, toy.state, toy.config, progress(step), keeping(rules))
    for (const step of [1, 2, 3]) await save(first, step, { keep: 3 })
    // Step 3 was damaged, say: the second attempt went on from step 2.
    await save(second, 4, { keep: 2, formerPlaces: [first], startStep: 2 })
    expect(listCheckpoints([first, second]).map(({ step }) => step)).toEqual([4, 2])
    await save(second, 5, { keep: 2, formerPlaces: [first], startStep: 2 })
    expect(listCheckpoints([first, second]).map(({ step }) => step)).toEqual([5, 4])
    expect(existsSync(first), 'no empty folder is left').toBe(false)
    toy.dispose()
  })

  it('of which a byte was changed, or that lacks a file, is found by its manifest', async () => {
    const { path, config: written } = await saved('flipped')
    const file = join(path, 'state.safetensors')
    const bytes = readFileSync(file)
    bytes[bytes.length - 3]! ^= 1
    writeFileSync(file, bytes)
    expect(() => openCheckpoint(path, written)).toThrow(
      expect.objectContaining({
        code: 'CHECKPOINT_BROKEN',
        message: expect.stringContaining(`${file}: its bytes`),
      }),
    )
    rmSync(file)
    expect(() => openCheckpoint(path, written)).toThrow(/state.safetensors: it is missing/)
    const json = await saved('digit')
    const text = readFileSync(join(json.path, 'checkpoint.json'), 'utf8')
    writeFileSync(join(json.path, 'checkpoint.json'), text.replace('"step": 3', '"step": 4'))
    expect(() => openCheckpoint(json.path, written)).toThrow(/checkpoint.json: its bytes/)
  })

  it('a damaged one is left for the one before it, with a warning that names the file', async () => {
    const older = await saved('series', 3)
    const newer = await saved('series', 5)
    const file = join(newer.path, 'state.safetensors')
    truncateSync(file, readFileSync(file).length - 8)
    const warnings: string[] = []
    const open = () =>
      openNewestCheckpoint([newer.path, older.path], older.config, (message) => warnings.push(message))
    expect(open()).toMatchObject({ path: older.path, progress: { step: 3 } })
    expect(warnings).toEqual([expect.stringContaining(`${file}: it has`)])
    rmSync(join(older.path, 'manifest.json'))
    writeFileSync(join(older.path, 'checkpoint.json'), '')
    expect(open).toThrow(expect.objectContaining({ code: 'CHECKPOINT_BROKEN' }))
    const other = { ...older.config, seed: 1 }
    const sound = await saved('series', 7)
    expect(() => openNewestCheckpoint([sound.path, older.path], other, () => {})).toThrow(/\(seed\)/)
  })

  it('is one only after what was told before it is kept, and takes away what another left aside', async () => {
    const toy = await toyTraining(config)
    const place = join(folder, 'ordered')
    mkdirSync(join(place, 'step-00000001.partial'), { recursive: true })
    const names: string[][] = []
    await saveCheckpoint(place, toy.state, toy.config, progress(2), {
      ...keeping(),
      beforeNaming: async () => {
        names.push(readdirSync(place).sort())
      },
    })
    expect(names).toEqual([['step-00000001.partial', 'step-00000002.partial']])
    expect(readdirSync(place)).toEqual(['step-00000002'])
    toy.dispose()
  })

  it('another setting that matters is refused by name, one that does not is not', async () => {
    const { path, config: written } = await saved('other')
    const change = (changes: object) =>
      openCheckpoint(path, runConfigSchema.parse({ ...written, ...changes }))
    expect(() => change({ seed: 1 })).toThrow(/other settings \(seed\)/)
    expect(() => change({ method: { name: 'lora', rank: 4 } })).toThrow(/\(method\)/)
    expect(() => change({ name: 'x', spectra: { everySteps: 1 }, checkpoint: { keep: 9 } })).not.toThrow()
  })

  it('a damaged, cut or missing checkpoint is CHECKPOINT_BROKEN', async () => {
    const broken = expect.objectContaining({ code: 'CHECKPOINT_BROKEN' })
    const { path, config: written } = await saved('damaged')
    expect(() => openCheckpoint(join(folder, 'nowhere'), written)).toThrow(broken)
    const file = join(path, 'state.safetensors')
    truncateSync(file, readFileSync(file).length - 8)
    expect(() => openCheckpoint(path, written)).toThrow(broken)
    writeFileSync(join(path, 'checkpoint.json'), '{"version":')
    expect(() => openCheckpoint(path, written)).toThrow(broken)
  })

  it('a checkpoint that lacks a tensor is CHECKPOINT_BROKEN', async () => {
    const { path, config: written } = await saved('lacking')
    const { initial } = openCheckpoint(path, written)
    await expect(
      toyTraining({ ...config, targetModules: ['q_proj'], method: { name: 'pissa', rank: 2 } }, { initial }),
    ).rejects.toMatchObject({ code: 'CHECKPOINT_BROKEN' })
  })
})
