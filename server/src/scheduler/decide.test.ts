import { canTransition, isActive, type RunState } from '@rankscope/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { emptyProgress } from '../runs/projection.ts'
import type { StoredRun } from '../store/store.ts'
import { sampleConfig } from '../testing/samples.ts'
import { type Decision, decide, type Patience, type SchedulerEvent } from './decide.ts'
import { checkpointWaitMs, place, type SchedulerNode, usedSlots } from './place.ts'

const patience: Patience = { lostAfterMs: 10, requeueAfterMs: 30, missingAfterMs: 5 }
const config = sampleConfig()

function run(runId: string, changes: Partial<StoredRun> & { priority?: number } = {}): StoredRun {
  const { priority = 0, ...rest } = changes
  return {
    runId,
    name: runId,
    state: 'queued',
    attempt: 1,
    config: { ...config, priority },
    nodeId: null,
    createdMs: 0,
    queuedMs: 0,
    startedMs: null,
    endedMs: null,
    progress: emptyProgress(),
    lastCursor: 0,
    revision: 1,
    ...rest,
  }
}

function node(nodeId: string, changes: Partial<SchedulerNode> = {}): SchedulerNode {
  return {
    nodeId,
    name: nodeId.toUpperCase(),
    slots: 1,
    reach: null,
    backends: ['cpu'],
    models: [],
    online: true,
    mode: 'open',
    pausedRuns: [],
    isDraining: false,
    lastSeenMs: 0,
    busyUntilMs: 0,
    missingSinceMs: new Map(),
    ...changes,
  }
}

const withCheckpoint = (nodeId: string) => ({
  progress: {
    ...emptyProgress(),
    checkpoint: { step: 50, path: '/checkpoints/50', bytes: 1 },
    checkpointNodeId: nodeId,
  },
})

const tick: SchedulerEvent = { kind: 'tick' }
const kinds = (decisions: Decision[]) =>
  decisions.map((decision) =>
    decision.kind === 'move' ? `${decision.runId}→${decision.to}` : `${decision.kind} ${decision.runId}`,
  )

describe('placing', () => {
  it('goes by priority, then first in first out (P20)', () => {
    const runs = [
      run('late', { queuedMs: 9 }),
      run('early', { queuedMs: 1 }),
      run('urgent', { queuedMs: 10, priority: 5 }),
    ]
    expect(kinds(decide(runs, [node('a', { slots: 2 })], tick, 0, patience))).toEqual([
      'assign urgent',
      'assign early',
    ])
  })

  it('says of each waiting run its place in the queue and what it waits for (P21)', () => {
    const runs = [
      run('active', { state: 'running', nodeId: 'a' }),
      run('first'),
      run('cuda', { config: sampleConfig({ resources: { backend: 'cuda' } }) }),
      run('tf32', { config: sampleConfig({ training: { products: 'TF32' } }) }),
    ]
    expect([...place(runs, [node('a')], 0).waits]).toEqual([
      ['first', { queuePosition: 1, waitingFor: 'a free slot' }],
      ['cuda', { queuePosition: 2, waitingFor: 'a node that has the backend cuda' }],
      ['tf32', { queuePosition: 3, waitingFor: 'a node that has the backend cuda' }],
    ])
    expect(place(runs, [], 0).waits.get('first')?.waitingFor).toBe('a node: none is online')
  })

  it('lets a run that cannot start hold nobody up (P20)', () => {
    const runs = [
      run('cuda', {
        priority: 9,
        config: { ...sampleConfig({ resources: { backend: 'cuda' } }), priority: 9 },
      }),
      run('other'),
    ]
    expect(kinds(decide(runs, [node('a')], tick, 0, patience))).toEqual(['assign other'])
  })

  it('prefers a node that offers the model, then the one with most room', () => {
    const nodes = [
      node('a', { slots: 4 }),
      node('b', { slots: 2, models: [config.model.path] }),
      node('c', { slots: 3, models: [config.model.path] }),
    ]
    expect(decide([run('x')], nodes, tick, 0, patience)).toMatchObject([{ nodeId: 'c' }])
  })

  it('resumes only where the checkpoint lies, and waits for that node (P22)', () => {
    const runs = [run('x', withCheckpoint('b'))]
    const both = [node('a', { slots: 9 }), node('b')]
    expect(decide(runs, both, tick, 0, patience)).toMatchObject([
      { nodeId: 'b', resumeFrom: '/checkpoints/50' },
    ])
    const full = [...runs, run('y', { state: 'running', nodeId: 'b' })]
    expect(decide(full, both, tick, 0, patience)).toEqual([])
    expect(place(full, both, 0).waits.get('x')?.waitingFor).toBe(
      'a free slot on B, which holds the checkpoint of step 50',
    )
  })

  it('starts afresh elsewhere when the checkpoint’s node stays away too long (P22)', () => {
    const runs = [run('x', withCheckpoint('b'))]
    const nodes = [node('a'), node('b', { online: false, lastSeenMs: 1000 })]
    expect(decide(runs, nodes, tick, 1000 + checkpointWaitMs - 1, patience)).toEqual([])
    expect(decide(runs, nodes, tick, 1000 + checkpointWaitMs, patience)).toMatchObject([
      { nodeId: 'a', resumeFrom: null },
    ])
    const justQueued = new Map([['x', 5000]])
    expect(decide(runs, nodes, tick, 4999 + checkpointWaitMs, patience, justQueued)).toEqual([])
  })

  it('evaluates what a run left on the node that holds it, however long that is away (P22a)', () => {
    const of = { runId: 'r', nodeId: 'b', what: 'checkpoint', path: '/checkpoints/50' } as const
    const runs = [run('x', { config: { ...config, job: { kind: 'evaluation', of } } })]
    const nodes = [node('a'), node('b', { online: false, lastSeenMs: 0 })]
    expect(decide(runs, nodes, tick, 10 * checkpointWaitMs, patience)).toEqual([])
    expect(place(runs, nodes, 10 * checkpointWaitMs).waits.get('x')?.waitingFor).toBe(
      'B, which holds the checkpoint that is evaluated and is offline',
    )
    expect(decide(runs, [node('a'), node('b')], tick, 0, patience)).toMatchObject([
      { kind: 'assign', nodeId: 'b', resumeFrom: null },
    ])
    const held = place(runs, [node('a'), node('b', { mode: 'paused' })], 0).waits.get('x')?.waitingFor
    expect(held).toContain('is paused: open it again')
  })

  it('leaves alone a node that said it was full, for a while', () => {
    const nodes = [node('a', { busyUntilMs: 100 })]
    expect(decide([run('x')], nodes, tick, 99, patience)).toEqual([])
    expect(kinds(decide([run('x')], nodes, tick, 100, patience))).toEqual(['assign x'])
  })
})

describe('commands', () => {
  const obey = (state: RunState, command: 'stop' | 'pause' | 'resume' | 'retry' | 'checkpoint') =>
    decide(
      [run('x', { state, nodeId: 'a', ...withCheckpoint('a') })],
      [],
      { kind: 'command', runId: 'x', command },
      0,
      { ...patience, lostAfterMs: 1e9 },
    )

  it('stop ends at once what no process holds, and orders the node otherwise', () => {
    for (const state of ['queued', 'paused', 'lost'] as const)
      expect(kinds(obey(state, 'stop')), state).toEqual(['x→stopped'])
    for (const state of ['assigned', 'running', 'pausing'] as const)
      expect(kinds(obey(state, 'stop')), state).toEqual(['x→stopping', 'order x'])
  })

  it('pause orders the node; resume and retry queue a new attempt that keeps its checkpoint (P22)', () => {
    expect(kinds(obey('running', 'pause'))).toEqual(['x→pausing', 'order x'])
    for (const [state, command] of [
      ['paused', 'resume'],
      ['failed', 'retry'],
      ['stopped', 'retry'],
    ] as const)
      expect(obey(state, command)).toEqual([
        { kind: 'requeue', runId: 'x', attempt: 'new', toEndOfQueue: true, keepCheckpoint: true },
      ])
  })

  it('retry leaves behind a checkpoint that proved broken', () => {
    const error = { code: 'CHECKPOINT_BROKEN' as const, message: '', hint: null }
    const broken = run('x', { state: 'failed', progress: { ...emptyProgress(), error } })
    const event = { kind: 'command', runId: 'x', command: 'retry' } as const
    expect(decide([broken], [], event, 0, patience)).toMatchObject([{ keepCheckpoint: false }])
  })
})

describe('lost nodes', () => {
  const held = (state: RunState) => [run('x', { state, nodeId: 'a', attempt: 3, ...withCheckpoint('a') })]
  const silent = [node('a', { online: false, lastSeenMs: 0 })]

  it('have their runs marked lost after a while, then queued again, the attempt kept until it is given out (P23)', () => {
    expect(decide(held('running'), silent, tick, 9, patience)).toEqual([])
    expect(kinds(decide(held('running'), silent, tick, 10, patience))).toEqual(['x→lost'])
    expect(decide(held('lost'), silent, tick, 29, patience)).toEqual([])
    expect(decide(held('lost'), silent, tick, 30, patience)).toEqual([
      { kind: 'requeue', runId: 'x', attempt: 'may-live', toEndOfQueue: false, keepCheckpoint: true },
    ])
  })

  it('are never reported as a failure of the code (P23)', () => {
    for (const state of ['assigned', 'running', 'pausing', 'stopping', 'lost'] as const)
      for (const nowMs of [10, 30, 1e6])
        for (const decision of decide(held(state), silent, tick, nowMs, patience))
          expect(decision).not.toMatchObject({ to: 'failed' })
  })

  it('end what was to stop, and leave paused what was to pause, with the checkpoint it has (P23)', () => {
    expect(kinds(decide(held('stopping'), silent, tick, 10, patience))).toEqual(['x→stopped'])
    expect(kinds(decide(held('pausing'), silent, tick, 10, patience))).toEqual(['x→paused'])
  })

  it('that come back keep the runs that are still alive on them (P24)', () => {
    const back = [node('a', { lastSeenMs: 20 })]
    const hello: SchedulerEvent = { kind: 'hello', nodeId: 'a', activeRuns: [{ runId: 'x', attempt: 3 }] }
    expect(kinds(decide(held('lost'), back, hello, 20, patience))).toEqual(['x→running'])
    expect(decide(held('running'), back, hello, 20, patience)).toEqual([])
    expect(kinds(decide(held('stopping'), back, hello, 20, patience))).toEqual(['order x'])
    expect(kinds(decide(held('queued'), back, hello, 20, patience)), 'not given elsewhere').toEqual([
      'x→running',
    ])
    expect(kinds(decide(held('paused'), back, hello, 20, patience)), 'taken for paused').toEqual(['order x'])
  })

  it('that come back without the process give it up only when their records have arrived (P24)', () => {
    const hello: SchedulerEvent = { kind: 'hello', nodeId: 'a', activeRuns: [] }
    const draining = [node('a', { lastSeenMs: 20, isDraining: true })]
    expect(decide(held('queued'), draining, hello, 20, patience)).toEqual([])
    expect(place(held('queued'), draining, 20).waits.get('x')?.waitingFor).toBe(
      'what A recorded while it was away',
    )
    expect(kinds(decide(held('queued'), [node('a', { lastSeenMs: 20 })], tick, 21, patience))).toEqual([
      'assign x',
    ])
  })

  it.each([
    ['an older attempt', [run('x', { state: 'running', nodeId: 'a', attempt: 4 })]],
    ['a run that now belongs to another node', [run('x', { state: 'running', nodeId: 'b', attempt: 3 })]],
    ['a stopped run', [run('x', { state: 'stopped', nodeId: 'a', attempt: 3 })]],
    ['a deleted run', []],
  ])('that come back with %s are told to abandon it (P24)', (_, runs) => {
    const hello: SchedulerEvent = { kind: 'hello', nodeId: 'a', activeRuns: [{ runId: 'x', attempt: 3 }] }
    const back = [node('a', { lastSeenMs: 0 }), node('b')]
    expect(decide(runs, back, hello, 0, patience)).toEqual([
      { kind: 'abandon', nodeId: 'a', runId: 'x', attempt: 3 },
    ])
  })

  it('that no longer mention a run have it queued again (P25)', () => {
    const forgetful = [node('a', { missingSinceMs: new Map([['x/3', 0]]) })]
    expect(decide(held('running'), forgetful, tick, 4, patience)).toEqual([])
    expect(kinds(decide(held('running'), forgetful, tick, 5, patience))).toEqual([
      'x→lost',
      'requeue x',
      'assign x',
    ])
    const again = [run('x', { state: 'assigned', nodeId: 'a', attempt: 4 })]
    expect(decide(again, forgetful, tick, 6, patience), 'the new attempt is not missing yet').toEqual([])
  })
})

describe('refused assignments', () => {
  const assigned = [run('x', { state: 'assigned', nodeId: 'a' })]
  const refused = (code: 'NODE_BUSY' | 'MODEL_NOT_FOUND'): SchedulerEvent => ({
    kind: 'refused',
    runId: 'x',
    attempt: 1,
    error: { code, message: '', hint: null },
  })

  it('go back to their place in the queue when the node was full, as the same attempt', () => {
    const full = [node('a', { busyUntilMs: 100 })]
    expect(decide(assigned, full, refused('NODE_BUSY'), 0, patience)).toEqual([
      { kind: 'requeue', runId: 'x', attempt: 'same', toEndOfQueue: false, keepCheckpoint: true },
    ])
  })

  it('fail with the node’s error otherwise', () => {
    expect(decide(assigned, [node('a')], refused('MODEL_NOT_FOUND'), 0, patience)).toMatchObject([
      { to: 'failed', error: { code: 'MODEL_NOT_FOUND' } },
    ])
  })
})

describe('whatever happens', () => {
  const states: RunState[] = [
    'queued',
    'assigned',
    'running',
    'pausing',
    'paused',
    'stopping',
    'stopped',
    'finished',
    'failed',
    'lost',
  ]
  const nodeIds = ['a', 'b', 'c']
  const anyRun = (runId: string) =>
    fc
      .record({
        state: fc.constantFrom(...states),
        nodeId: fc.constantFrom(...nodeIds),
        attempt: fc.integer({ min: 1, max: 3 }),
        priority: fc.integer({ min: -1, max: 1 }),
        queuedMs: fc.integer({ min: 0, max: 5 }),
        hasCheckpoint: fc.boolean(),
      })
      .map(({ hasCheckpoint, ...rest }) =>
        run(runId, { ...rest, ...(hasCheckpoint ? withCheckpoint(rest.nodeId) : {}) }),
      )
  const anyNode = (nodeId: string) =>
    fc
      .record({
        slots: fc.integer({ min: 1, max: 3 }),
        online: fc.boolean(),
        lastSeenMs: fc.integer({ min: 0, max: 40 }),
        busyUntilMs: fc.integer({ min: 0, max: 60 }),
        missing: fc.subarray(['r0/1', 'r1/1', 'r2/2', 'r3/2', 'r4/3', 'r5/1']),
      })
      .map(({ missing, ...rest }) =>
        node(nodeId, { ...rest, missingSinceMs: new Map(missing.map((key) => [key, 35])) }),
      )
  const runIds = ['r0', 'r1', 'r2', 'r3', 'r4', 'r5']
  const anyEvent: fc.Arbitrary<SchedulerEvent> = fc.oneof(
    fc.constant(tick),
    fc.record({
      kind: fc.constant('command' as const),
      runId: fc.constantFrom(...runIds),
      command: fc.constantFrom('stop' as const, 'pause' as const, 'resume' as const, 'retry' as const),
    }),
    fc.record({
      kind: fc.constant('hello' as const),
      nodeId: fc.constantFrom(...nodeIds),
      activeRuns: fc.array(
        fc.record({ runId: fc.constantFrom(...runIds, 'gone'), attempt: fc.integer({ min: 1, max: 3 }) }),
        { maxLength: 4 },
      ),
    }),
    fc.record({
      kind: fc.constant('refused' as const),
      runId: fc.constantFrom(...runIds),
      attempt: fc.integer({ min: 1, max: 3 }),
      error: fc.record({
        code: fc.constantFrom('NODE_BUSY' as const, 'INTERNAL' as const),
        message: fc.constant(''),
        hint: fc.constant(null),
      }),
    }),
  )
  const world = fc.record({
    runs: fc.tuple(...runIds.map(anyRun)),
    nodes: fc.tuple(...nodeIds.map(anyNode)),
    event: anyEvent,
    nowMs: fc.integer({ min: 40, max: 80 }),
  })

  /** The decisions carried out on copies, checking each step against the table of transitions. */
  function carryOut(runs: StoredRun[], decisions: Decision[]): StoredRun[] {
    const byId = new Map(runs.map((item) => [item.runId, { ...item }]))
    for (const decision of decisions) {
      if (decision.kind === 'order' || decision.kind === 'abandon') continue
      const item = byId.get(decision.runId)!
      const to = decision.kind === 'move' ? decision.to : decision.kind === 'assign' ? 'assigned' : 'queued'
      expect(canTransition(item.state, to), `${item.state}→${to}`).toBe(true)
      item.state = to
      if (decision.kind === 'assign') {
        if (item.nodeId !== null) item.attempt++
        item.nodeId = decision.nodeId
      }
      if (decision.kind === 'requeue') {
        if (decision.attempt === 'new') item.attempt++
        if (decision.attempt !== 'may-live') item.nodeId = null
      }
    }
    return [...byId.values()]
  }

  it('no slot is booked twice, and only online nodes with room get runs (P20)', () => {
    fc.assert(
      fc.property(world, ({ runs, nodes, event, nowMs }) => {
        const decisions = decide(runs, nodes, event, nowMs, patience)
        const after = carryOut(runs, decisions)
        for (const item of nodes) {
          const given = decisions.filter(
            (decision) => decision.kind === 'assign' && decision.nodeId === item.nodeId,
          ).length
          if (given === 0) continue
          expect(item.online).toBe(true)
          expect(item.busyUntilMs).toBeLessThanOrEqual(nowMs)
          expect(usedSlots(after, item.nodeId)).toBeLessThanOrEqual(item.slots)
        }
      }),
      { numRuns: 2000, seed: 1 },
    )
  })

  it('a run with a higher rank never waits for a slot that a lower one of its kind was given (P20)', () => {
    fc.assert(
      fc.property(world, ({ runs, nodes, nowMs }) => {
        const plain = runs.map((item) => ({ ...item, progress: emptyProgress() }))
        const { placements, waits } = place(plain, nodes, nowMs)
        const rank = (runId: string) => plain.find((item) => item.runId === runId)!
        for (const waiting of waits.keys())
          for (const { runId } of placements) {
            const [high, low] = [rank(waiting), rank(runId)]
            expect(
              low.config.priority > high.config.priority ||
                (low.config.priority === high.config.priority && low.queuedMs <= high.queuedMs),
            ).toBe(true)
          }
      }),
      { numRuns: 2000, seed: 2 },
    )
  })

  it('every decision is a legal transition, and a new attempt follows every process that may live on (P4)', () => {
    fc.assert(
      fc.property(world, ({ runs, nodes, event, nowMs }) => {
        const decisions = decide(runs, nodes, event, nowMs, patience)
        for (const item of carryOut(runs, decisions)) {
          const before = runs.find((other) => other.runId === item.runId)!
          const wasHeld = isActive(before.state) || before.state === 'lost' || before.state === 'queued'
          const isRefused = event.kind === 'refused' && event.runId === item.runId
          const isGiven = decisions.some(
            ({ kind, ...rest }) => kind === 'assign' && rest.runId === item.runId,
          )
          if (wasHeld && isGiven && !isRefused) expect(item.attempt).toBe(before.attempt + 1)
        }
      }),
      { numRuns: 2000, seed: 3 },
    )
  })

  it('is settled afterwards: deciding again at the same moment changes nothing', () => {
    fc.assert(
      fc.property(world, ({ runs, nodes, event, nowMs }) => {
        const after = carryOut(runs, decide(runs, nodes, event, nowMs, patience))
        // What a heartbeat missed concerns the attempt before.
        const heard = nodes.map((item) => ({ ...item, missingSinceMs: new Map() }))
        const again = decide(after, heard, tick, nowMs, patience).filter(
          (decision) => decision.kind !== 'assign',
        )
        expect(again).toEqual([])
      }),
      { numRuns: 500, seed: 4 },
    )
  })
})

describe('a node that a person holds back', () => {
  it.each(['draining', 'paused'] as const)(
    'gets no new run while it is %s, and the queue says so',
    (mode) => {
      const { placements, waits } = place([run('a'), run('b')], [node('n', { mode, slots: 4 })], 0)
      expect(placements).toEqual([])
      expect(waits.get('a')).toEqual({ queuePosition: 1, waitingFor: `a node that is open: N is ${mode}` })
      const both = place([run('a')], [node('n', { mode }), node('m')], 0)
      expect(both.placements).toMatchObject([{ runId: 'a', nodeId: 'm' }])
    },
  )

  it('that is draining lets its runs go on; one that is paused pauses them, and only them', () => {
    const runs = [
      run('a', { state: 'running', nodeId: 'n' }),
      run('b', { state: 'running', nodeId: 'm' }),
      run('c', { state: 'stopping', nodeId: 'n' }),
    ]
    const nodes = [node('n', { mode: 'draining', slots: 3 }), node('m')]
    expect(decide(runs, nodes, { kind: 'tick' }, 0, patience)).toEqual([])
    const paused = [node('n', { mode: 'paused', slots: 3 }), node('m')]
    expect(decide(runs, paused, { kind: 'pauseNode', nodeId: 'n' }, 0, patience)).toEqual([
      { kind: 'move', runId: 'a', to: 'pausing', error: null },
      { kind: 'order', nodeId: 'n', runId: 'a', attempt: 1, command: 'pause' },
    ])
  })

  it('that is opened goes on with the runs that were paused with it, once they are paused', () => {
    const runs = [
      run('a', { state: 'paused', nodeId: 'n' }),
      run('b', { state: 'pausing', nodeId: 'n' }),
      run('c', { state: 'paused', nodeId: 'n' }),
    ]
    const open = [node('n', { pausedRuns: ['a', 'b'], slots: 3 })]
    expect(decide(runs, open, { kind: 'tick' }, 0, patience)).toMatchObject([
      { kind: 'requeue', runId: 'a' },
      { kind: 'assign', runId: 'a', nodeId: 'n' },
    ])
    const closed = [node('n', { mode: 'paused', pausedRuns: ['a', 'b'], slots: 3 })]
    expect(decide(runs, closed, { kind: 'tick' }, 0, patience)).toEqual([])
  })
})
