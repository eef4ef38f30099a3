import { describe, expect, it } from 'vitest'
import type { TokenExample } from './examples.ts'
import { heldBack } from './holdout.ts'

/** One prompt token, one answer token. */
const example = (prompt: number, answer = 1): TokenExample => ({
  inputIds: Int32Array.of(prompt, answer),
  labels: Int32Array.of(-100, answer),
})
const origins = (examples: readonly unknown[]) => examples.map((_, index) => index)
const held = (examples: readonly TokenExample[], share: number, seed = 0, from = origins(examples)) =>
  heldBack(examples, from, share, seed)

describe('examples held back', () => {
  const many = Array.from({ length: 1000 }, (_, i) => example(i))

  it('are exactly the share, by seed', () => {
    expect(held(many, 0.1)).toHaveLength(100)
    expect(held(many, 0.1)).toEqual(held(many, 0.1))
    expect(held(many, 0.1, 1)).not.toEqual(held(many, 0.1))
    expect(held(many, 0)).toEqual([])
    expect(held(many.slice(0, 3), 0.001)).toHaveLength(1)
    expect(held(many.slice(0, 1), 0.5)).toEqual([])
  })

  it('are the same whatever the order of the file, and more of them hold the fewer', () => {
    const prompts = (examples: readonly TokenExample[], numbers: readonly number[]) =>
      numbers.map((index) => examples[index]!.inputIds[0]).sort()
    const reversed = [...many].reverse()
    expect(prompts(reversed, held(reversed, 0.1))).toEqual(prompts(many, held(many, 0.1)))
    const more = new Set(held(many, 0.2))
    expect(held(many, 0.1).every((index) => more.has(index))).toBe(true)
  })

  it('share no prompt with what is trained on, and no record', () => {
    const twice = [...many.slice(0, 50), ...many.slice(0, 50).map((_, i) => example(i, 2))]
    const indices = new Set(held(twice, 0.3))
    for (let i = 0; i < 50; i++) expect(indices.has(i)).toBe(indices.has(i + 50))
    // Two examples of one conversation stay together.
    const records = many.map((_, index) => index >> 1)
    const together = new Set(held(many, 0.3, 0, records))
    for (let i = 0; i < 1000; i += 2) expect(together.has(i)).toBe(together.has(i + 1))
    expect(held([example(1), example(1, 2), example(1, 3)], 0.3)).toEqual([])
  })
})
