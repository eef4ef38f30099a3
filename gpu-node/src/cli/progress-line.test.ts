import { scalarNames } from '@rankscope/protocol'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ProgressLine } from './progress-line.ts'

describe('progress without a terminal', () => {
  let lines: string[]
  let line: ProgressLine
  beforeEach(() => {
    vi.useFakeTimers()
    lines = []
    const write = (text: string) => lines.push(text.trimEnd()) > 0
    line = new ProgressLine({ isTTY: false, write }, () => Date.now())
  })
  afterEach(() => {
    line.end()
    vi.useRealTimers()
  })
  const phase = (
    name: 'loading-model' | 'decomposing' | 'evaluating' | 'measuring-spectra' | 'exporting',
    progress: number | null = null,
  ) => line.show({ kind: 'phase', phase: name, progress, detail: null })

  it.each(['loading-model', 'decomposing', 'evaluating', 'measuring-spectra', 'exporting'] as const)(
    'no phase is silent for more than 35 s, though nothing is told: %s',
    (name) => {
      phase(name)
      vi.advanceTimersByTime(300_000)
      expect(lines.length).toBeGreaterThanOrEqual(1 + Math.floor(300 / 35))
      expect(lines[1]).toMatch(/\(for 3\d s\)$/)
    },
  )

  it('what is told often is said at most once in 30 s, with the time left by the pace so far', () => {
    phase('measuring-spectra', 0)
    for (let second = 1; second <= 100; second++) {
      vi.setSystemTime(Date.now() + 1000)
      phase('measuring-spectra', second / 400)
    }
    expect(lines).toHaveLength(4)
    expect(lines[1]).toContain('measuring spectra 8 %, about 6 min left')
  })

  it('a phase that says itself how long it takes is taken at its word, once', () => {
    const measuring = { kind: 'phase', phase: 'measuring-spectra' } as const
    line.show({ ...measuring, progress: 0, detail: null })
    vi.setSystemTime(Date.now() + 31_000)
    line.show({ ...measuring, progress: 0.5, detail: 'about 40 s left' })
    expect(lines.at(-1)).toMatch(/^measuring spectra 50 % \(about 40 s left\) \(for 31 s\)$/)
  })

  it('a record breaks the silence where no timer has its turn', () => {
    phase('loading-model', 0)
    vi.setSystemTime(Date.now() + 31_000)
    phase('loading-model', 0.5)
    expect(lines.at(-1)).toContain('loading model 50 %, about 31 s left')
  })

  it('slow steps are told of between the tenths of a long training', () => {
    const start = {
      backend: 'wasm',
      computedBy: '',
      threads: 1,
      startStep: 0,
      modules: [],
      warnings: [],
      data: [],
    }
    line.show({ kind: 'start', ...start, totalSteps: 1000, trainableParameters: 1, totalParameters: 2 })
    for (let step = 1; step <= 30; step++) {
      vi.advanceTimersByTime(20_000)
      line.show({ kind: 'scalars', step, values: { [scalarNames.trainLoss]: 2 } })
    }
    const told = lines.filter((text) => text.includes('loss 2.0000'))
    expect(told.length).toBeGreaterThanOrEqual(10)
    expect(told.at(-1)).toMatch(/about 5 h \d+ min left/)
  })
})
