import type { StoredRecord } from '@rankscope/protocol'
import { describe, expect, it } from 'vitest'
import { LiveConnection, type LiveSocket } from './connection.ts'

/** A socket whose events the test makes. */
function fakeSocket() {
  const handlers = new Map<string, (...values: unknown[]) => void>()
  const sent: [string, unknown][] = []
  const socket = {
    connected: true,
    on: (event: string, handler: (...values: unknown[]) => void) => handlers.set(event, handler),
    emit: (event: string, message: unknown) => sent.push([event, message]),
    connect: () => sent.push(['connect', null]),
  }
  const receive = (event: string, ...values: unknown[]) => handlers.get(event)?.(...values)
  return { socket: socket as unknown as LiveSocket & { connected: boolean }, sent, receive }
}

const silent = {
  run: () => {},
  runRows: () => {},
  runDeleted: () => {},
  node: () => {},
  reconnected: () => {},
  unreachable: () => {},
}
const scalar = (cursor: number): StoredRecord => ({
  runId: 'a',
  attempt: 1,
  seq: cursor,
  cursor,
  timeMs: 0,
  body: { kind: 'scalars', step: cursor, values: { loss: 1 } },
})

describe('the live connection', () => {
  it('subscribes after what it has, and after a lost link asks for just the gap', async () => {
    const { socket, sent, receive } = fakeSocket()
    let reconnected = 0
    const live = new LiveConnection(socket, { ...silent, reconnected: () => reconnected++ })
    receive('connect')
    const store = live.acquire('a')
    store.finishLoading('logs', 3, () => {})
    await live.load('a', ['logs'])
    expect(sent).toEqual([
      ['watch', { runs: 'rows', views: [], nodes: true }],
      ['subscribeRun', { runId: 'a', afterCursor: 3 }],
    ])
    receive('records', { runId: 'a', records: [scalar(4), scalar(5)] })
    receive('disconnect', 'transport close')
    expect(live.state.state).toBe('offline')
    receive('connect')
    expect(sent.at(-1)).toEqual(['subscribeRun', { runId: 'a', afterCursor: 5 }])
    expect(reconnected).toBe(1)
    expect(live.state.state).toBe('online')
  })

  it('comes back when the server itself closed the link', () => {
    const { socket, sent, receive } = fakeSocket()
    new LiveConnection(socket, silent)
    receive('disconnect', 'io server disconnect')
    expect(sent).toEqual([['connect', null]])
  })

  it('gives everyone the same store of a run, and keeps it for a return', () => {
    const { socket } = fakeSocket()
    const live = new LiveConnection(socket, silent)
    const store = live.acquire('a')
    live.release('a')
    expect(live.acquire('a')).toBe(store)
  })
})
