import { describe, expect, it } from 'vitest'
import { type Drawable, DrawScheduler } from './draw-scheduler.ts'

/** A scheduler with a clock and frames moved by hand; drawing a chart takes its `costMs`. */
function stage() {
  let nowMs = 0
  let frame: (() => void) | null = null
  const drawn: string[] = []
  const scheduler = new DrawScheduler(
    (callback) => {
      frame = callback
    },
    () => nowMs,
  )
  const chart = (name: string, change: Partial<Drawable> & { costMs?: number } = {}): Drawable => ({
    draw: () => {
      drawn.push(name)
      nowMs += change.costMs ?? 1
    },
    isVisible: () => true,
    primary: false,
    ...change,
  })
  const pass = (ms: number) => {
    nowMs += ms
    const due = frame
    frame = null
    due?.()
    return drawn.splice(0)
  }
  return { scheduler, chart, pass }
}

describe('the draw scheduler', () => {
  it('draws a chart once however often it was asked', () => {
    const { scheduler, chart, pass } = stage()
    const loss = chart('loss')
    for (let count = 0; count < 10; count++) scheduler.request(loss)
    expect(pass(16)).toEqual(['loss'])
    expect(pass(16)).toEqual([])
  })
  it('lets a chart rest in proportion to its cost, unless a person waits for it', () => {
    const { scheduler, chart, pass } = stage()
    const slow = chart('slow', { costMs: 60 })
    scheduler.request(slow)
    pass(16)
    scheduler.request(slow)
    expect(pass(300)).toEqual([])
    scheduler.request(slow, true)
    expect(pass(16)).toEqual(['slow'])
  })
  it('draws primary charts first and leaves the rest to later frames when one is full', () => {
    const { scheduler, chart, pass } = stage()
    const others = ['a', 'b'].map((name) => chart(name, { costMs: 20 }))
    for (const other of others) scheduler.request(other)
    scheduler.request(chart('loss', { primary: true, costMs: 5 }))
    expect(pass(16)).toEqual(['loss', 'a'])
    expect(pass(16)).toEqual(['b'])
  })
  it('does not draw what cannot be seen', () => {
    const { scheduler, chart, pass } = stage()
    scheduler.request(chart('hidden', { isVisible: () => false }), true)
    expect(pass(16)).toEqual([])
  })
})
