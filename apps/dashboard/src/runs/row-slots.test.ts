import { describe, expect, it } from 'vitest'
import { RowSlots } from './row-slots.ts'

describe('RowSlots', () => {
  it('keeps the element of a line that stays and hands on those of lines that leave', () => {
    const slots = new RowSlots()
    const before = slots.assign(['c', 'd', 'e', 'f'])
    const after = slots.assign(['e', 'f', 'g', 'h'])
    expect(after.slice(0, 2)).toEqual(before.slice(2))
    expect([...after].sort()).toEqual([...before].sort())
  })

  it('never gives two lines one element, however the window grows, shrinks and jumps', () => {
    const slots = new RowSlots()
    let seed = 7
    for (let round = 0; round < 500; round++) {
      seed = (seed * 1103515245 + 12345) % 2147483648
      const from = seed % 1000
      const lines = Array.from({ length: seed % 40 }, (_, index) => String(from + index))
      const given = slots.assign(lines)
      expect(new Set(given).size).toBe(lines.length)
      expect(slots.assign(lines)).toEqual(given)
    }
  })
})
