/** Runs of several nodes: where they go, and what becomes of one that loses a part. */
import { gangSchema, type Reach } from '@rankscope/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { emptyProgress } from '../runs/projection.ts'
import type { StoredRun } from '../store/store.ts'
import { sampleConfig } from '../testing/samples.ts'
import { decide } from './decide.ts'
import { slotsOn } from './gang.ts'
import { place, type SchedulerNode, usedSlots } from './place.ts'

const patience = { lostAfterMs: 10, requeueAfterMs: 30, missingAfterMs: 5 }

function run(runId: string, devices: number, changes: Partial<StoredRun> = {}): StoredRun {
  return {
    ...{ runId, name: runId, state: 'queued', attempt: 1, nodeId: null, createdMs: 0, queuedMs: 0 },
    ...{ startedMs: null, endedMs: null, progress: emptyProgress(), lastCursor: 0, revision: 1 },
    config: sampleConfig({ parallel: { devices, mode: 'processes' } }),
    ...changes,
  } as StoredRun
}

function node(nodeId: string, slots: number, changes: Partial<SchedulerNode> = {}): SchedulerNode {
  const reach: Reach = { launcher: 'agent', address: `${nodeId}.lab` }
  return {
    ...{ nodeId, name: nodeId, slots, reach, backends: ['cpu'], models: [], online: true, mode: 'open' },
    ...{ pausedRuns: [], isDraining: false, lastSeenMs: 0, busyUntilMs: 0, missingSinceMs: new Map() },
    ...changes,
  } as SchedulerNode
}

const gangs = (runs: StoredRun[], nodes: SchedulerNode[]) =>
  place(runs, nodes, 0).placements.map(({ gang, nodeId }) =>
    gang === null ? nodeId : gang.map((member) => `${member.nodeId}:${member.devices}`).join(' '),
  )
const held = (state: StoredRun['state'], members: [string, number][]): Partial<StoredRun> => ({
  state,
  nodeId: members[0]![0],
  progress: {
    ...emptyProgress(),
    gang: members.map(([nodeId, devices]) => {
      return { nodeId, name: nodeId, devices, reach: { launcher: 'agent', address: `${nodeId}.lab` } }
    }),
  },
})

describe('a gang', () => {
  it('is one node where one has room, though others have more together', () => {
    expect(gangs([run('r', 4)], [node('a', 3), node('b', 4), node('c', 3)])).toEqual(['b'])
  })

  it('is as few nodes as hold it, those with the most room first', () => {
    expect(gangs([run('r', 6)], [node('a', 1), node('b', 2), node('c', 4)])).toEqual(['c:4 b:2'])
  })

  it('forms only of nodes with one launcher, and never of two daemons on one host', () => {
    const ssh = { reach: { launcher: 'ssh', address: 'b.lab' } } as const
    expect(gangs([run('r', 4)], [node('a', 2), node('b', 2, ssh)])).toEqual([])
    expect(gangs([run('r', 4)], [node('a', 2), node('b', 2, { reach: null })])).toEqual([])
    const job = (nodeId: string, allocation: string) =>
      node(nodeId, 2, { reach: { launcher: 'srun', address: nodeId, allocation } })
    expect(gangs([run('r', 4)], [job('a', '7'), job('b', '8')])).toEqual([])
    expect(gangs([run('r', 4)], [job('a', '7'), job('b', '8'), job('c', '8')])).toEqual(['b:2 c:2'])
    const same = { reach: { launcher: 'agent', address: 'a.lab' } } as const
    expect(gangs([run('r', 4)], [node('a', 2), node('b', 2, same)])).toEqual([])
  })

  it('holds nothing while it waits: what fits behind it starts', () => {
    expect(gangs([run('large', 4), run('small', 1, { queuedMs: 1 })], [node('a', 2), node('b', 1)])).toEqual([
      'a',
    ])
  })

  it('is told what every node lacks', () => {
    const nodes = [node('a', 2), node('b', 1, { reach: null })]
    expect(place([run('r', 4)], nodes, 0).waits.get('r')?.waitingFor).toBe(
      '4 device slots, of one node or of several with the same --launcher: a has 2 of 2 free; b has 1 of 1 free, and shares no run: it was started without --launcher',
    )
  })

  it('is led by the node that holds the checkpoint, whatever nodes remain beside it', () => {
    const progress = {
      ...emptyProgress(),
      checkpoint: { step: 5, path: '/c/5', bytes: 1 },
      checkpointNodeId: 'b',
    }
    expect(gangs([run('r', 4, { progress })], [node('a', 3), node('b', 1), node('c', 2)])).toEqual([
      'b:1 a:3',
    ])
  })

  it('never overfills a node, and is placed whole or not at all, in any order of sizes', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 })
    const rooms = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(sizes, rooms, (devices, slots) => {
        const runs = devices.map((count, i) => run(`r${i}`, count, { queuedMs: i }))
        const nodes = slots.map((count, i) => node(`n${i}`, count))
        const { placements, waits } = place(runs, nodes, 0)
        expect(placements.length + waits.size).toBe(runs.length)
        const after = runs.map((one) => {
          const placement = placements.find(({ runId }) => runId === one.runId)
          if (!placement) return one
          if (placement.gang) gangSchema.parse(placement.gang)
          const progress = { ...one.progress, gang: placement.gang ?? [] }
          return { ...one, state: 'assigned', nodeId: placement.nodeId, progress } as StoredRun
        })
        for (const { nodeId, slots: most } of nodes)
          expect(usedSlots(after, nodeId)).toBeLessThanOrEqual(most)
        for (const one of after.filter(({ state }) => state === 'assigned'))
          expect(nodes.reduce((sum, { nodeId }) => sum + slotsOn(one, nodeId), 0)).toBe(
            one.config.parallel.devices,
          )
        // Nobody waits whom the room that is left would hold.
        const left = nodes.reduce((sum, { nodeId, slots: most }) => sum + most - usedSlots(after, nodeId), 0)
        for (const one of after.filter(({ state }) => state === 'queued'))
          expect(one.config.parallel.devices).toBeGreaterThan(left)
      }),
    )
  })
})

describe('a gang that loses a part', () => {
  const nodes = [node('a', 2), node('b', 2)]
  const stops = ['a', 'b'].map((nodeId) => {
    return { kind: 'order', nodeId, runId: 'r', attempt: 1, command: 'stop' }
  })

  it('is ended everywhere and queued as a new attempt when one node is silent', () => {
    const one = run(
      'r',
      4,
      held('running', [
        ['a', 2],
        ['b', 2],
      ]),
    )
    const silent = [nodes[0]!, node('b', 2, { online: false, lastSeenMs: 0 })]
    const decisions = decide([one], silent, { kind: 'tick' }, 30, patience)
    expect(decisions).toEqual([
      { kind: 'move', runId: 'r', to: 'lost', error: null },
      ...stops,
      { kind: 'requeue', runId: 'r', attempt: 'new', toEndOfQueue: false, keepCheckpoint: true },
    ])
  })

  it('goes on at once when it says so itself, and fails after five losses without a newer checkpoint', () => {
    const lostRank = { code: 'COLLECTIVE_FAILED', message: 'gone', hint: null } as const
    const lost = (count: number) => {
      const changes = held('lost', [
        ['a', 2],
        ['b', 2],
      ])
      const progress = { ...changes.progress!, lostRank, losses: { count, checkpointStep: null } }
      return run('r', 4, { ...changes, progress })
    }
    const kinds = (count: number) =>
      decide([lost(count)], nodes, { kind: 'tick' }, 0, patience).map(({ kind }) => kind)
    expect(kinds(4)).toEqual(['order', 'order', 'requeue', 'assign'])
    expect(kinds(5)).toEqual(['order', 'order', 'move'])
  })

  it('takes no part for the whole: a node that comes back alone does not make it run', () => {
    const one = run(
      'r',
      4,
      held('lost', [
        ['a', 2],
        ['b', 2],
      ]),
    )
    const half = [nodes[0]!, node('b', 2, { online: false, lastSeenMs: 20 })]
    const hello = { kind: 'hello', nodeId: 'a', activeRuns: [{ runId: 'r', attempt: 1 }] } as const
    expect(decide([one], half, hello, 21, patience)).toEqual([])
    expect(decide([one], nodes, hello, 21, patience)).toEqual([
      { kind: 'move', runId: 'r', to: 'running', error: null },
    ])
  })

  it('is taken back whole when one node is busy', () => {
    const one = run(
      'r',
      4,
      held('assigned', [
        ['a', 2],
        ['b', 2],
      ]),
    )
    const error = { code: 'NODE_BUSY', message: '', hint: null } as const
    const busy = [nodes[0]!, node('b', 2, { busyUntilMs: 5 })]
    const decisions = decide([one], busy, { kind: 'refused', runId: 'r', attempt: 1, error }, 0, patience)
    expect(decisions).toEqual([
      { kind: 'requeue', runId: 'r', attempt: 'new', toEndOfQueue: false, keepCheckpoint: true },
      ...stops,
    ])
  })
})
