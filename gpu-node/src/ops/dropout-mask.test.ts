/** Dropped entries look independent: of each other, of their neighbours and of other keys. */
import { describe, expect, it } from 'vitest'
import { Random } from '../random.ts'
import { drawKey, fillDropoutMask } from './dropout-mask.ts'

const probability = 0.3
const size = 512 * 256
const rule = { size, threshold: Math.floor(probability * 2 ** 32), factor: 1 }

/** 1 where dropped; consecutive seeds, as consecutive steps have. */
function dropped(seed: number): Float32Array {
  const mask = new Float32Array(size)
  fillDropoutMask(mask, Int32Array.from(drawKey(new Random(seed))), rule)
  return mask.map((kept) => 1 - kept)
}

/** In standard deviations of independent draws. */
function deviation(count: number, draws: number, chance: number): number {
  return Math.abs(count - draws * chance) / Math.sqrt(draws * chance * (1 - chance))
}

describe('the mask of dropout', () => {
  const masks = Array.from({ length: 20 }, (_, seed) => dropped(seed))

  it('drops a share of p in every example', () => {
    for (const mask of masks)
      expect(
        deviation(
          mask.reduce((sum, d) => sum + d),
          size,
          probability,
        ),
      ).toBeLessThan(4)
  })

  it.each([1, 2, 16, 64, 512])('drops an entry and the one %i further on independently', (distance) => {
    for (const mask of masks) {
      let both = 0
      for (let i = distance; i < size; i++) both += mask[i]! * mask[i - distance]!
      expect(deviation(both, size - distance, probability ** 2)).toBeLessThan(4.5)
    }
  })

  it('drops the same entry under two keys independently', () => {
    for (let k = 1; k < masks.length; k++) {
      const both = masks[k]!.reduce((sum, d, i) => sum + d * masks[k - 1]![i]!, 0)
      expect(deviation(both, size, probability ** 2)).toBeLessThan(4)
    }
  })
})
