import { describe, expect, it } from 'vitest'
import { testRun } from '../testing/test-run.ts'
import { moveTo, queueOf } from './queue-order.ts'

const queue = ['a', 'b', 'c', 'd'].map((runId) => ({ runId }))

describe('moving within the queue', () => {
  it('brings a run to exactly the wanted place, wherever it comes from', () => {
    for (const from of queue.keys())
      for (const to of queue.keys()) {
        const before = moveTo(queue, from, to)
        if (before === undefined) {
          expect(to).toBe(from)
          continue
        }
        const rest = queue.filter((_, index) => index !== from)
        const place = before === null ? rest.length : rest.findIndex((run) => run.runId === before)
        expect(place, `${from} to ${to}`).toBe(to)
      }
  })

  it('stays within the queue', () => {
    expect(moveTo(queue, 0, -1)).toBeUndefined()
    expect(moveTo(queue, 3, 4)).toBeUndefined()
    expect(moveTo(queue, 1, 99)).toBeNull()
  })
})

it('lists queued runs by their place, those without one last', () => {
  const runs = [
    testRun({ runId: 'late', state: 'queued', queuePosition: null }),
    testRun({ runId: 'second', state: 'queued', queuePosition: 2 }),
    testRun({ runId: 'trains', state: 'running', queuePosition: null }),
    testRun({ runId: 'first', state: 'queued', queuePosition: 1 }),
  ]
  expect(queueOf(runs).map((run) => run.runId)).toEqual(['first', 'second', 'late'])
})
