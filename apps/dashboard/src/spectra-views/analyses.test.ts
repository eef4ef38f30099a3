import { expect, it } from 'vitest'
import { bandsOf, rotationRows, similarityRows, subspaceSimilarity } from './analyses.ts'

/** Columns of the identity [side, count], by index. */
function units(side: number, indices: readonly number[]): number[] {
  return Array.from({ length: side * indices.length }, (_, at) =>
    indices[at % indices.length] === Math.floor(at / indices.length) ? 1 : 0,
  )
}

it('φ is 1 for a subspace inside the other, 0 for orthogonal ones, and their share between', () => {
  const phi = subspaceSimilarity(units(6, [0, 1, 2]), units(6, [1, 0, 5]), 6)!
  expect(phi).toEqual([
    [0, 1, 1],
    [1, 1, 1],
    [1, 1, 2 / 3],
  ])
})

it('φ of turned vectors is cos² of the angle, whatever their signs', () => {
  const [cosine, sine] = [Math.cos(0.3), Math.sin(0.3)]
  const phi = subspaceSimilarity([1, 0, 0], [-cosine, -sine, 0], 3)!
  expect(phi[0]![0]).toBeCloseTo(cosine ** 2, 14)
})

it('weights of other shapes have no common directions', () => {
  expect(subspaceSimilarity(units(6, [0]), units(5, [0]), 6)).toBeNull()
})

it('bands say which directions they hold and what chance gives', () => {
  expect(bandsOf([2, 2, 6], [0.5, 0.25, 0.25], 'device')).toEqual([
    { label: 'device 1, 1–2', share: 0.5, chance: 0.2 },
    { label: 'device 2, 3–4', share: 0.25, chance: 0.2 },
    { label: 'beyond, 5–10', share: 0.25, chance: 0.6 },
  ])
  expect(bandsOf(undefined, undefined, 'range')).toEqual([])
})

it('reads rotations and similarities row by row', () => {
  expect(rotationRows({ rotation: [10, 1, 2, 3, 4] })).toEqual([
    { depth: 10, inputMedian: 1, inputLargest: 2, outputMedian: 3, outputLargest: 4 },
  ])
  expect(similarityRows({ similarity: [5, 0.5, 10, 0.75] })).toEqual([
    { step: 5, similarity: 0.5 },
    { step: 10, similarity: 0.75 },
  ])
})
