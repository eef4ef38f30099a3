/** Writing where there may be no room: a run on a node waits until there is some; a headless one ends with DISK_FULL. */
import { setTimeout as delay } from 'node:timers/promises'
import { errorPayload, isDiskFull } from '@rankscope/protocol'
import type { RoomOnDisk } from '../durable-files.ts'
import type { RunEnvironment } from './environment.ts'

const pollMs = 1000

/** Waits a while, and says so once, where a run may wait; throws the error where it may not, or is to stop. */
export function roomOnDisk({ emit, control, onFullDisk }: RunEnvironment): RoomOnDisk {
  let hasWaited = false
  return async (error) => {
    if (onFullDisk !== 'wait' || !isDiskFull(error) || control.leave === 'stop') throw error
    const message = `${errorPayload(error).message}; the run waits until there is room`
    if (!hasWaited) emit({ kind: 'log', level: 'warning', message })
    hasWaited = true
    await delay(pollMs)
  }
}

/** What `write` returns. It is called again as often as the disk is full, so it must leave nothing behind then. */
export async function whenThereIsRoom<T>(room: RoomOnDisk, write: () => T | Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await write()
    } catch (error) {
      await room(error)
    }
  }
}
