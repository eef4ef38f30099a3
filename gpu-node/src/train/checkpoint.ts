/**
 * Checkpoints: everything from which a run goes on as if it had never stopped. A folder `step-00000120` with
 *
 *   state.safetensors   the method's variables, moments included, and the weights that it changes, float32
 *   checkpoint.json     step, counters, and the configuration that the tensors belong to
 *
 * Data order and dropout are functions of (seed, step), so the step is all that there is to say about them. A folder is
 * written aside and renamed: it is either whole or not there.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseOrThrow, RankscopeError, type RunConfig, runConfigSchema } from '@rankscope/protocol'
import { z } from 'zod'
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
})
export type Progress = z.infer<typeof progressSchema>

const fileSchema = z.strictObject({
  version: z.literal(1),
  progress: progressSchema,
  config: runConfigSchema,
})

const stateFile = 'state.safetensors'
const jsonFile = 'checkpoint.json'

/** The folder of the checkpoint after `step` steps. */
export function checkpointPath(folder: string, step: number): string {
  return join(folder, `step-${String(step).padStart(8, '0')}`)
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

/** Writes `<folder>/step-<n>`, removes all but the newest `keep`, and returns the new one's path and size. */
export async function saveCheckpoint(
  folder: string,
  state: MethodState,
  config: RunConfig,
  progress: Progress,
  keep: number,
): Promise<{ path: string; bytes: number }> {
  const path = checkpointPath(folder, progress.step)
  const aside = `${path}.partial`
  rmSync(aside, { recursive: true, force: true })
  mkdirSync(aside, { recursive: true })
  await writeSafetensors(join(aside, stateFile), tensorsOf(state), { format: 'rankscope' })
  writeJsonFile(join(aside, jsonFile), { version: 1, progress, config } satisfies z.input<typeof fileSchema>)
  rmSync(path, { recursive: true, force: true })
  renameSync(aside, path)
  prune(folder, keep)
  const bytes = [stateFile, jsonFile].reduce((sum, name) => sum + statSync(join(path, name)).size, 0)
  return { path, bytes }
}

/** Reads a checkpoint for `config`. Throws CHECKPOINT_BROKEN where it is damaged or belongs to another run. */
export function openCheckpoint(
  path: string,
  config: RunConfig,
): { initial: InitialValues; progress: Progress } {
  const file = join(path, jsonFile)
  if (!existsSync(file)) throw broken(`${path}: there is no checkpoint`)
  const { progress, config: written } = parseOrThrow(fileSchema, readJson(file), 'CHECKPOINT_BROKEN', file)
  const differing = differences(computation(written), computation(config))
  if (differing.length > 0)
    throw broken(
      `${path}: it was written with other settings (${differing.join(', ')})`,
      'Resume with the settings of the checkpoint, or start the run afresh.',
    )
  const { tensors } = openTensors(join(path, stateFile))
  const initial: InitialValues = {
    complete: true,
    read(name, shape) {
      const info = tensors.get(name)
      if (!info) return null
      if (info.shape.join() !== shape.join())
        throw broken(`${path}: tensor ${name} has shape [${info.shape}], [${shape}] is needed`)
      return readFloat32(info)
    },
  }
  return { initial, progress }
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

function prune(folder: string, keep: number): void {
  const steps = readdirSync(folder)
    .filter((name) => /^step-\d+$/.test(name))
    .sort()
  for (const name of steps.slice(0, Math.max(0, steps.length - keep)))
    rmSync(join(folder, name), { recursive: true, force: true })
}

function openTensors(file: string): ReturnType<typeof openSafetensors> {
  try {
    return openSafetensors(file)
  } catch (cause) {
    throw broken(`${file}: ${cause instanceof Error ? cause.message : cause}`)
  }
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    throw broken(`${file}: not readable as JSON`)
  }
}

function broken(message: string, hint = 'Start the run afresh, or resume from an older checkpoint.') {
  return new RankscopeError('CHECKPOINT_BROKEN', message, { hint })
}
