import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { emptyProgress } from '../runs/projection.ts'
import type { StoredRun } from '../store/store.ts'
import { sampleConfig } from '../testing/samples.ts'
import { queueOrder } from './place.ts'
import { moveBefore } from './reorder.ts'

const config = sampleConfig()

function queued(runId: string, priority: number, queuedMs: number): StoredRun {
  return {
    runId,
    name: runId,
    state: 'queued',
    attempt: 1,
    config: { ...config, priority },
    nodeId: null,
    createdMs: 0,
    queuedMs,
    startedMs: null,
    endedMs: null,
    progress: emptyProgress(),
    lastCursor: 0,
    revision: 1,
  }
}

const order = (runs: readonly StoredRun[]) => queueOrder(runs).map((run) => run.runId)

function carryOut(runs: readonly StoredRun[], changes: ReturnType<typeof moveBefore>): StoredRun[] {
  return runs.map((run) => {
    const change = changes.find(({ runId }) => runId === run.runId)
    return change
      ? { ...run, queuedMs: change.queuedMs, config: { ...run.config, priority: change.priority } }
      : run
  })
}

describe('moving a run within the queue', () => {
  it('puts it where it was asked for, and leaves all others in their order, however often', () => {
    const run = fc.record({
      priority: fc.integer({ min: -1, max: 1 }),
      queuedMs: fc.integer({ min: 0, max: 3 }),
    })
    fc.assert(
      fc.property(
        fc.array(run, { minLength: 2, maxLength: 9 }),
        fc.array(fc.tuple(fc.nat(), fc.option(fc.nat())), { minLength: 1, maxLength: 12 }),
        (given, moves) => {
          let runs = given.map(({ priority, queuedMs }, index) => queued(`r${index}`, priority, queuedMs))
          for (const [which, where] of moves) {
            const runId = `r${which % runs.length}`
            const before = where === null ? null : `r${where % runs.length}`
            if (before === runId) continue
            const expected = order(runs).filter((one) => one !== runId)
            expected.splice(before === null ? expected.length : expected.indexOf(before), 0, runId)
            const changes = moveBefore(runs, runId, before)
            // Each of them may be the last that a crash leaves.
            for (let count = 0; count < changes.length; count++) {
              const others = order(carryOut(runs, changes.slice(0, count))).filter((one) => one !== runId)
              expect(others).toEqual(expected.filter((one) => one !== runId))
            }
            runs = carryOut(runs, changes)
            expect(order(runs)).toEqual(expected)
          }
        },
      ),
      { numRuns: 500, seed: 11 },
    )
  })

  it('takes the priority of the run before which it goes, and changes nothing where it stands there', () => {
    const runs = [queued('a', 5, 1), queued('b', 5, 2), queued('c', 0, 3)]
    expect(moveBefore(runs, 'c', 'b')).toEqual([{ runId: 'c', priority: 5, queuedMs: 1.5 }])
    expect(moveBefore(runs, 'a', 'b')).toEqual([])
    expect(moveBefore(runs, 'c', null)).toEqual([])
    expect(moveBefore(runs, 'nobody', 'a')).toEqual([])
  })
})
