/** Going on from a checkpoint that lies on the host of rank 0 alone. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type RecordBody, type RunConfig, runConfigSchema } from '@rankscope/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { localGroup } from '../testing/collectives/local.ts'
import { executeRun, RunControl } from './run.ts'
import { shareCheckpoint } from './share-checkpoint.ts'

describe('sharing a checkpoint', () => {
  let root: string
  let config: RunConfig
  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'rankscope-share-'))
    config = runConfigSchema.parse({
      model: { path: fileURLToPath(new URL('../../../models/rankscope-mini', import.meta.url)) },
      data: { source: { kind: 'task', task: 'arithmetic', trainExamples: 8 } },
      // Larger than one piece.
      method: { name: 'full' },
      training: { globalBatchSize: 1, microBatchSize: 1, maxSteps: 2 },
      checkpoint: { everySteps: 1 },
      evaluation: { atEnd: false },
      spectra: { everySteps: null, atEnd: false },
      resources: { backend: 'wasm' },
    })
    const outcome = await executeRun(config, surroundings(join(root, 'origin')))
    expect(outcome).toMatchObject({ state: 'finished', steps: 2 })
  }, 60_000)
  afterAll(() => rmSync(root, { recursive: true, force: true }))

  const surroundings = (folder: string) => ({
    roots: { models: [], data: [], anywhere: true },
    folder,
    cacheFolder: null,
    threads: 1,
    memoryBytes: null,
    checkpointFrom: null,
    control: new RunControl(),
    emit: () => {},
  })
  /** Two ranks on the first host, two on another; what each is to go on from. */
  const share = async (name: string, steps: readonly number[], damaged: readonly number[] = []) => {
    const folders = ['a', 'b'].map((host) => join(root, name, host))
    for (const folder of folders) mkdirSync(folder, { recursive: true })
    const place = join(folders[0]!, 'checkpoints')
    for (const step of steps)
      cpSync(join(root, 'origin', 'checkpoints', stepName(step)), join(place, stepName(step)), {
        recursive: true,
      })
    for (const step of damaged) truncateSync(join(place, stepName(step), 'state.safetensors'), 1000)
    const newest = steps.length === 0 ? null : join(place, stepName(Math.max(...steps)))
    const told: RecordBody[] = []
    const found = await Promise.all(
      localGroup(4).map((collective, rank) => {
        const host = rank < 2 ? 0 : 1
        // The other host still has a checkpoint of a past that was given up.
        const own = { folder: folders[host]!, formerPlaces: [join(root, 'origin', 'checkpoints')] }
        const environment = {
          ...surroundings(own.folder),
          ...own,
          checkpointFrom: host === 0 ? newest : null,
        }
        const emit = (body: RecordBody) => void (rank === 0 && told.push(body))
        return shareCheckpoint(collective, { config, environment }, host * 2, {
          control: new RunControl(),
          emit,
        })
      }),
    )
    return { found, told, place, received: join(folders[1]!, 'received') }
  }
  const stepName = (step: number) => `step-${String(step).padStart(8, '0')}`

  it('brings every byte to the other hosts, and leaves what they had out of account', async () => {
    const { found, place, received } = await share('whole', [1, 2])
    const [here, there] = [join(place, stepName(2)), join(received, stepName(2))]
    expect(found.map(({ checkpointFrom }) => checkpointFrom)).toEqual([here, here, there, there])
    expect(found.slice(1).map(({ formerPlaces }) => formerPlaces)).toEqual([[], [], []])
    expect(readdirSync(there).sort()).toEqual(readdirSync(here).sort())
    for (const name of readdirSync(here))
      expect(readFileSync(join(there, name)).equals(readFileSync(join(here, name))), name).toBe(true)
  })

  it('sends the one before where the newest is damaged', async () => {
    const { found, told, place, received } = await share('damaged', [1, 2], [2])
    const [here, there] = [join(place, stepName(1)), join(received, stepName(1))]
    expect(found.map(({ checkpointFrom }) => checkpointFrom)).toEqual([here, here, there, there])
    expect(told).toMatchObject([{ kind: 'log', level: 'warning' }])
  })

  it('starts afresh everywhere where rank 0 does', async () => {
    const { found } = await share('none', [])
    expect(found.map(({ checkpointFrom }) => checkpointFrom)).toEqual([null, null, null, null])
  })
})
