/**
 * Checkpoints: everything from which a run goes on as if it had never stopped. A folder `step-00000120` with
 *
 *   state.safetensors   the method's variables, moments included, and the weights that it changes, float32
 *   checkpoint.json     step, counters, score, and the configuration that the tensors belong to
 *   manifest.json       size and SHA-256 of the two
 *
 * Data order and dropout are functions of (seed, step), so the step is all that there is to say about them. A folder is
 * written aside, brought to disk and renamed: it is either whole or not there. What a disk changes later the manifest
 * finds: a damaged checkpoint is left for the one before it.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { RankscopeError, type RunConfig, runConfigSchema } from '@rankscope/protocol'
import { z } from 'zod'
import {
  checkpointPath,
  dispensable,
  folderBytes,
  listCheckpoints,
  type Retention,
  removeCheckpoints,
  type Score,
} from '../checkpoint-folders.ts'
import { fingerprint, noRoom, type RoomOnDisk, syncFolder } from '../durable-files.ts'
import { openSafetensors, readFloat32, writeSafetensors, writingOrder } from '../model/safetensors.ts'
import { writeJsonFile } from '../model/save.ts'
import type { InitialValues, MethodState } from '../optim/state.ts'

const progressSchema = z.strictObject({
  /** Optimiser steps done. */
  step: z.int().min(0),
  /** Tokens trained on so far, padding left out. */
  tokens: z.int().min(0),
  trainingSeconds: z.number().min(0),
  /** Accuracy of the base model, where it was measured. */
  baseAccuracy: z.number().nullable(),
  /** Loss of the base model on the text for forgetting, where it was measured. */
  baseUntouchedLoss: z.number().nullable().default(null),
  /** Spectra that were due and are not there, by scalar (skipped-spectra.ts). */
  skippedSpectra: z.record(z.string(), z.int().min(1)).default({}),
})
export type Progress = z.infer<typeof progressSchema>

const scoreSchema = z.strictObject({ loss: z.number().nullable(), accuracy: z.number().nullable() })
const fileSchema = z.strictObject({
  version: z.literal(1),
  progress: progressSchema,
  config: runConfigSchema,
  score: scoreSchema.nullable().default(null),
  /** Backend, card, driver and libraries; empty in checkpoints of older versions. */
  computedBy: z.string().default(''),
})
const manifestSchema = z.strictObject({
  files: z.record(z.string(), z.strictObject({ bytes: z.int(), sha256: z.string() })),
})

const stateFile = 'state.safetensors'
const jsonFile = 'checkpoint.json'
const manifestFile = 'manifest.json'

export interface CheckpointRules extends Retention {
  /** Places of earlier attempts of the run, oldest first: the rules hold for the run, not for each attempt. */
  readonly formerPlaces: readonly string[]
  /** Step that this attempt went on from: what earlier attempts saved beyond it is of a past that was given up. */
  readonly startStep: number
}

export interface SaveOptions {
  readonly rules: CheckpointRules
  /** What the weights scored when they were last evaluated. */
  readonly score: Score | null
  /** What the bits of the run depend on beside its configuration. */
  readonly computedBy?: string
  /** May wait where the disk is full. */
  readonly room?: RoomOnDisk
  /** Awaited when all is written, before the checkpoint becomes one. */
  readonly beforeNaming?: () => Promise<void>
}

/** The method's variables, each read when its turn comes to be written. */
function tensorsOf(state: MethodState) {
  return state
    .entries()
    .map(({ name, shape, read }) => ({ name, shape, dtype: 'F32' as const, values: read }))
}

/** What the other ranks do while rank 0 saves: they take part in reading what each holds a part of, in its order. */
export async function joinCheckpoint(state: MethodState): Promise<void> {
  for (const { values } of writingOrder(tensorsOf(state))) await values()
}

/** Writes `<place>/step-<n>`, removes what the rules do not keep, and returns the new one's path and size. */
export async function saveCheckpoint(
  place: string,
  state: MethodState,
  config: RunConfig,
  progress: Progress,
  { rules, score, computedBy = '', room = noRoom, beforeNaming }: SaveOptions,
): Promise<{ path: string; bytes: number }> {
  const path = checkpointPath(place, progress.step)
  const aside = `${path}.partial`
  rmSync(aside, { recursive: true, force: true })
  const patiently = async (work: () => void) => {
    for (;;) {
      try {
        return work()
      } catch (error) {
        await room(error)
      }
    }
  }
  try {
    await patiently(() => mkdirSync(aside, { recursive: true }))
    await writeSafetensors(join(aside, stateFile), tensorsOf(state), { format: 'rankscope' }, room)
    const kept = score && { loss: score.loss, accuracy: score.accuracy }
    const content: z.input<typeof fileSchema> = { version: 1, progress, config, score: kept, computedBy }
    await patiently(() => writeJsonFile(join(aside, jsonFile), content))
    const names = [stateFile, jsonFile]
    const files = Object.fromEntries(names.map((name) => [name, fingerprint(join(aside, name))]))
    const manifest: z.input<typeof manifestSchema> = { files }
    await patiently(() => writeJsonFile(join(aside, manifestFile), manifest))
    await beforeNaming?.()
    rmSync(path, { recursive: true, force: true })
    renameSync(aside, path)
    syncFolder(place)
  } catch (error) {
    rmSync(aside, { recursive: true, force: true })
    throw error
  }
  prune(place, progress.step, rules)
  return { path, bytes: folderBytes(path) }
}

/** What lies in `place` beyond the step just saved is of another past: it neither counts nor goes. */
function prune(place: string, saved: number, rules: CheckpointRules): void {
  const { formerPlaces, startStep } = rules
  // Only this process writes here; what lies aside one that was killed has left.
  for (const where of [...formerPlaces, place]) removePartial(where)
  const all = listCheckpoints([...formerPlaces, place]).filter(
    (checkpoint) => checkpoint.place !== place || checkpoint.step <= saved,
  )
  const isGivenUp = (step: number, where: string) => where !== place && step > startStep
  const live = all.filter((checkpoint) => !isGivenUp(checkpoint.step, checkpoint.place))
  const unwanted = dispensable(live, rules, ({ path }) => scoreOf(path))
  removeCheckpoints(all.filter((checkpoint) => !live.includes(checkpoint) || unwanted.includes(checkpoint)))
}

function removePartial(place: string): void {
  if (!existsSync(place)) return
  for (const name of readdirSync(place))
    if (name.endsWith('.partial')) rmSync(join(place, name), { recursive: true, force: true })
}

function scoreOf(path: string): Score | null {
  try {
    return fileSchema.parse(JSON.parse(readFileSync(join(path, jsonFile), 'utf8'))).score
  } catch {
    // Damaged: nothing speaks for it.
    return null
  }
}

export interface OpenedCheckpoint {
  readonly path: string
  readonly initial: InitialValues
  readonly progress: Progress
  /** Backend, card, driver and libraries; empty where it was not recorded. */
  readonly computedBy: string
}

/**
 * Opens the first of `paths` (newest first) that is whole; `warn` hears of each that is not. Throws CHECKPOINT_BROKEN
 * where none is, or where one belongs to another run.
 */
export function openNewestCheckpoint(
  paths: readonly string[],
  config: RunConfig,
  warn: (message: string) => void,
): OpenedCheckpoint {
  const faults: RankscopeError[] = []
  for (const path of paths) {
    try {
      return { path, ...openCheckpoint(path, config, warn) }
    } catch (error) {
      if (!(error instanceof DamagedCheckpoint)) throw error
      faults.push(error)
      if (faults.length < paths.length) warn(`${error.message}; going on from the checkpoint before it`)
    }
  }
  throw faults.length === 1 ? faults[0]! : damaged(faults.map(({ message }) => message).join('; '))
}

/** Reads a checkpoint for `config`. Throws CHECKPOINT_BROKEN where it is damaged or belongs to another run. */
export function openCheckpoint(
  path: string,
  config: RunConfig,
  warn: (message: string) => void = () => {},
): Omit<OpenedCheckpoint, 'path'> {
  const file = join(path, jsonFile)
  if (!existsSync(file)) throw damaged(`${path}: there is no checkpoint`)
  verify(path, warn)
  const { progress, config: written, computedBy } = readParsed(file)
  const differing = differences(computation(written), computation(config))
  if (differing.length > 0)
    throw new RankscopeError(
      'CHECKPOINT_BROKEN',
      `${path}: it was written with other settings (${differing.join(', ')})`,
      { hint: 'Resume with the settings of the checkpoint, or start the run afresh.' },
    )
  const { tensors } = openTensors(join(path, stateFile))
  const initial: InitialValues = {
    complete: true,
    read(name, shape) {
      const info = tensors.get(name)
      if (!info) return null
      if (info.shape.join() !== shape.join())
        throw damaged(`${path}: tensor ${name} has shape [${info.shape}], [${shape}] is needed`)
      return readFloat32(info)
    },
  }
  return { initial, progress, computedBy }
}

/** The configuration that a checkpoint belongs to. Throws CHECKPOINT_BROKEN where there is none. */
export function readCheckpointConfig(path: string): RunConfig {
  const file = join(path, jsonFile)
  if (!existsSync(file)) throw damaged(`${path}: there is no checkpoint`)
  return readParsed(file).config
}

/** Reads every byte and compares it with the manifest. */
function verify(path: string, warn: (message: string) => void): void {
  const file = join(path, manifestFile)
  if (!existsSync(file)) {
    warn(`${path}: it has no manifest.json, so that damage could not be found`)
    return
  }
  const manifest = manifestSchema.safeParse(readJson(file))
  if (!manifest.success) throw damaged(`${file}: it is no manifest`)
  const { files } = manifest.data
  for (const name of [stateFile, jsonFile]) {
    const member = join(path, name)
    const expected = files[name]
    if (!expected) throw damaged(`${file}: it does not name ${name}`)
    if (!existsSync(member)) throw damaged(`${member}: it is missing`)
    const found = fingerprint(member)
    if (found.bytes !== expected.bytes)
      throw damaged(`${member}: it has ${found.bytes} bytes, ${expected.bytes} were written`)
    if (found.sha256 !== expected.sha256)
      throw damaged(`${member}: its bytes are not those that were written (SHA-256 differs)`)
  }
}

/** The parts of a configuration that decide what is computed; a resumed run may watch and save differently. */
function computation(config: RunConfig): Record<string, unknown> {
  const { model, data, method, targetModules, parallel, optimizer, schedule, training, seed } = config
  const { devices } = parallel // how they are realised, and what they exchange, changes no result
  return { model, data, method, targetModules, devices, optimizer, schedule, training, seed }
}

function differences(a: Record<string, unknown>, b: Record<string, unknown>): string[] {
  return Object.keys(a).filter((key) => JSON.stringify(sorted(a[key])) !== JSON.stringify(sorted(b[key])))
}

/** The same value with keys in order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  )
}

function openTensors(file: string): ReturnType<typeof openSafetensors> {
  try {
    return openSafetensors(file)
  } catch (cause) {
    throw damaged(`${file}: ${cause instanceof Error ? cause.message : cause}`)
  }
}

function readParsed(file: string): z.output<typeof fileSchema> {
  const parsed = fileSchema.safeParse(readJson(file))
  if (parsed.success) return parsed.data
  throw damaged(
    parsed.error.issues.map(({ path, message }) => `${file}: ${path.join('.')}: ${message}`).join('; '),
  )
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    throw damaged(`${file}: not readable as JSON`)
  }
}

/** A checkpoint that cannot be used whatever the configuration says; an older one may be whole. */
class DamagedCheckpoint extends RankscopeError {
  constructor(message: string) {
    super('CHECKPOINT_BROKEN', message, {
      hint: 'Start the run afresh, or resume from an older checkpoint.',
    })
  }
}

const damaged = (message: string) => new DamagedCheckpoint(message)
