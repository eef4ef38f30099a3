/**
 * Which checkpoints lie in a run's folders, and which of them are kept. A run has one place (`<attempt>/checkpoints`)
 * per attempt, each with folders `step-00000120`; a headless run has one place.
 */
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'

export interface CheckpointFolder {
  readonly path: string
  /** The folder that it lies in: the attempt's place. */
  readonly place: string
  readonly step: number
  /** What its files take. */
  readonly bytes: number
}

/** How well a checkpoint did where it was evaluated last. */
export interface Score {
  readonly loss: number | null
  /** Share of exact matches. */
  readonly accuracy: number | null
}

export interface Retention {
  /** Newest that are kept. */
  readonly keep: number
  /** Keep the best as well. */
  readonly keepBest: boolean
  /** What a run's checkpoints may take together; the newest is kept whatever it takes. */
  readonly maxBytes: number | null
}

/** In an attempt's folder: the checkpoint that another host sent to go on from. */
export const receivedFolder = 'received'

/** The folder of the checkpoint after `step` steps. */
export function checkpointPath(place: string, step: number): string {
  return join(place, `step-${String(step).padStart(8, '0')}`)
}

/** Complete checkpoints, newest first. `places` from the oldest attempt to the newest: a later attempt counts as newer. */
export function listCheckpoints(places: readonly string[]): CheckpointFolder[] {
  return places.flatMap((place) => checkpointsIn(place)).reverse()
}

function checkpointsIn(place: string): CheckpointFolder[] {
  const names = existsSync(place) ? readdirSync(place).filter((name) => /^step-\d+$/.test(name)) : []
  return names
    .map((name) => ({
      path: join(place, name),
      place,
      step: Number(name.slice(5)),
      bytes: folderBytes(join(place, name)),
    }))
    .sort((one, other) => one.step - other.step)
}

/** What all files below take. */
export function folderBytes(folder: string): number {
  if (!existsSync(folder)) return 0
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(folder, entry.name)
    const stat = entry.isDirectory() ? null : statSync(path, { throwIfNoEntry: false })
    return sum + (entry.isDirectory() ? folderBytes(path) : (stat?.size ?? 0))
  }, 0)
}

/** Those that the rules do not keep. `checkpoints`: newest first, each with its score where it has one. */
export function dispensable<C extends Pick<CheckpointFolder, 'bytes'>>(
  checkpoints: readonly C[],
  rules: Retention,
  scoreOf: (checkpoint: C) => Score | null,
): C[] {
  const best = rules.keepBest ? bestOf(checkpoints, scoreOf) : null
  const kept = checkpoints.filter((checkpoint, index) => index < rules.keep || checkpoint === best)
  const { maxBytes } = rules
  if (maxBytes !== null) {
    let bytes = kept.reduce((sum, checkpoint) => sum + checkpoint.bytes, 0)
    // The oldest go first, the best of all last; the newest stays.
    const victims = [...kept.slice(1).reverse()].sort(
      (one, other) => Number(one === best) - Number(other === best),
    )
    for (const victim of victims) {
      if (bytes <= maxBytes) break
      kept.splice(kept.indexOf(victim), 1)
      bytes -= victim.bytes
    }
  }
  return checkpoints.filter((checkpoint) => !kept.includes(checkpoint))
}

/** By accuracy where it was measured, then by loss; of equals the newest. */
function bestOf<C>(checkpoints: readonly C[], scoreOf: (checkpoint: C) => Score | null): C | null {
  const worth = (score: Score) => [score.accuracy ?? -1, -(score.loss ?? Number.POSITIVE_INFINITY)] as const
  let best: { checkpoint: C; worth: readonly [number, number] } | null = null
  for (const checkpoint of checkpoints) {
    const score = scoreOf(checkpoint)
    if (score === null) continue
    const [accuracy, loss] = worth(score)
    const isBetter =
      best === null || accuracy > best.worth[0] || (accuracy === best.worth[0] && loss > best.worth[1])
    if (isBetter) best = { checkpoint, worth: [accuracy, loss] }
  }
  return best?.checkpoint ?? null
}

/** Removes checkpoints, and the places that are empty then. */
export function removeCheckpoints(checkpoints: readonly CheckpointFolder[]): void {
  for (const { path } of checkpoints) rmSync(path, { recursive: true, force: true })
  for (const place of new Set(checkpoints.map(({ path }) => dirname(path))))
    if (existsSync(place) && readdirSync(place).length === 0) rmSync(place, { recursive: true, force: true })
}
