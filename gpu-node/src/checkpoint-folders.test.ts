import { describe, expect, it } from 'vitest'
import { dispensable, type Retention, type Score } from './checkpoint-folders.ts'

/** Newest first. */
const checkpoints = [
  { step: 50, bytes: 10, score: { loss: 1.5, accuracy: null } },
  { step: 40, bytes: 10, score: { loss: 1.2, accuracy: null } },
  { step: 30, bytes: 10, score: { loss: 1.1, accuracy: null } },
  { step: 20, bytes: 10, score: null },
  { step: 10, bytes: 10, score: { loss: 2, accuracy: null } },
]
const kept = (
  rules: Partial<Retention>,
  scores: (Score | null)[] = checkpoints.map(({ score }) => score),
) => {
  const scored = checkpoints.map((checkpoint, index) => ({ ...checkpoint, score: scores[index]! }))
  const all = { keep: 100, keepBest: false, maxBytes: null, ...rules }
  const gone = dispensable(scored, all, ({ score }) => score)
  return scored.filter((checkpoint) => !gone.includes(checkpoint)).map(({ step }) => step)
}

describe('which checkpoints are kept', () => {
  it('the newest N', () => expect(kept({ keep: 2 })).toEqual([50, 40]))

  it('the best besides: by loss, by accuracy where it was measured, of equals the newest', () => {
    expect(kept({ keep: 1, keepBest: true })).toEqual([50, 30])
    const accuracies = [0.1, 0.7, 0.2, 0.7, 0.3].map((accuracy) => ({ loss: 1, accuracy }))
    expect(kept({ keep: 1, keepBest: true }, accuracies)).toEqual([50, 40])
    expect(kept({ keep: 1, keepBest: true }, [null, null, null, null, null])).toEqual([50])
  })

  it('as many as have room: the oldest go first, the best last, the newest never', () => {
    expect(kept({ maxBytes: 30 })).toEqual([50, 40, 30])
    expect(kept({ maxBytes: 20, keepBest: true })).toEqual([50, 30])
    expect(kept({ maxBytes: 5, keepBest: true })).toEqual([50])
  })
})
