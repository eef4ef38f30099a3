import { Worker } from 'node:worker_threads'
import { launcher } from '@rankscope/launch'
import { afterEach, describe, expect, it } from 'vitest'
import { StoreThread } from './store-thread.ts'

describe('a store’s thread', () => {
  const entry = new URL('../testing/odd-worker.ts', import.meta.url).href
  let thread: StoreThread
  const open = () => {
    thread = new StoreThread(() => new Worker(launcher, { workerData: { entry } }))
    return thread
  }
  afterEach(() => thread.close())

  it('passes values and coded errors on', async () => {
    const { call } = bound(open())
    expect(await call('echo', [new Uint8Array([1, 2])])).toEqual(new Uint8Array([1, 2]))
    await expect(call('refuse', [])).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('refuses by itself a call that cannot be sent; those around it are answered', async () => {
    const { call } = bound(open())
    const before = call('echo', [1])
    await expect(call('echo', [() => 1])).rejects.toMatchObject({ code: 'STORE_FAILED' })
    expect([await before, await call('echo', [2])]).toEqual([1, 2])
  })

  it('refuses by itself a call whose answer cannot travel; those behind it are answered', async () => {
    const { call } = bound(open())
    const outcomes = await Promise.allSettled([call('function', []), call('echo', [2])])
    expect(outcomes).toMatchObject([
      { status: 'rejected', reason: { message: expect.stringContaining('could not be cloned') } },
      { status: 'fulfilled', value: 2 },
    ])
  })

  it.each(['throw', 'exit'])('that dies (%s) refuses every waiting call and is started anew', async (how) => {
    const { call } = bound(open())
    const first = await call('thread', [])
    const outcomes = await Promise.allSettled([call(how, []), call('hang', []), call('hang', [])])
    for (const outcome of outcomes)
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'STORE_FAILED' } })
    expect(await call('thread', [])).not.toBe(first)
  })

  it('closes also where its thread has died, and answers nothing after that', async () => {
    const { call } = bound(open())
    await call('exit', []).catch(() => undefined)
    await thread.close()
    await expect(call('echo', [1])).rejects.toMatchObject({ code: 'STORE_FAILED' })
  })
})

function bound(thread: StoreThread): { call: StoreThread['call'] } {
  return { call: thread.call.bind(thread) }
}
