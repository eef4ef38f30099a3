/** What lies on this node’s disk of runs: `<runId>/<attempt>/` with checkpoints, exports and the log of its process. */
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import {
  type CheckpointFolder,
  folderBytes,
  listCheckpoints,
  receivedFolder,
  removeCheckpoints,
} from '../checkpoint-folders.ts'

export class RunFolders {
  readonly root: string

  constructor(root: string) {
    this.root = root
  }

  /** Made where absent. */
  attempt(runId: string, attempt: number): string {
    const folder = join(this.root, runId, String(attempt))
    mkdirSync(folder, { recursive: true })
    return folder
  }

  /** Where attempts before this one saved checkpoints, oldest first. */
  formerPlaces(runId: string, before: number): string[] {
    const folder = join(this.root, runId)
    const attempts = existsSync(folder) ? readdirSync(folder).filter((name) => /^\d+$/.test(name)) : []
    return attempts
      .map(Number)
      .filter((attempt) => attempt < before)
      .sort((one, other) => one - other)
      .map((attempt) => join(folder, String(attempt), 'checkpoints'))
  }

  /** Of all attempts, newest first. */
  checkpoints(runId: string): CheckpointFolder[] {
    return listCheckpoints(this.formerPlaces(runId, Number.POSITIVE_INFINITY))
  }

  /** Removes all that the run left here; how many bytes that frees. */
  remove(runId: string): number {
    const folder = join(this.root, runId)
    const bytes = folderBytes(folder)
    rmSync(folder, { recursive: true, force: true })
    return bytes
  }

  /** Removes what was being written aside when the attempt’s process ended, and what it was sent to go on from. */
  removeAside(runId: string, attempt: number): void {
    const folder = join(this.root, runId, String(attempt))
    if (!existsSync(folder)) return
    rmSync(join(folder, receivedFolder), { recursive: true, force: true })
    for (const name of readdirSync(folder, { recursive: true }).map(String))
      if (/\.partial$|\.\d+\.tmp$/.test(name)) rmSync(join(folder, name), { recursive: true, force: true })
  }

  /**
   * Removes checkpoints until all of them take no more than `maxBytes`, the oldest first; what is taken away. A run’s
   * newest one goes only where `isOver` says that nothing goes on from it any more.
   */
  makeRoom(maxBytes: number, isOver: (runId: string) => boolean): (CheckpointFolder & { runId: string })[] {
    const all = this.#runIds().flatMap((runId) =>
      this.checkpoints(runId).map((checkpoint, index) => ({
        ...checkpoint,
        runId,
        writtenMs: statSync(checkpoint.path, { throwIfNoEntry: false })?.mtimeMs ?? 0,
        isNeeded: index === 0 && !isOver(runId),
      })),
    )
    let bytes = all.reduce((sum, checkpoint) => sum + checkpoint.bytes, 0)
    const removed: (CheckpointFolder & { runId: string })[] = []
    for (const victim of all
      .filter(({ isNeeded }) => !isNeeded)
      .sort((one, other) => one.writtenMs - other.writtenMs)) {
      if (bytes <= maxBytes) break
      removed.push(victim)
      bytes -= victim.bytes
    }
    removeCheckpoints(removed)
    return removed
  }

  /** What else lies there is not ours. */
  #runIds(): string[] {
    if (!existsSync(this.root)) return []
    return readdirSync(this.root, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? [entry.name] : [],
    )
  }
}
