/** For tests: results of a backend against exact ones. */
import { expect } from 'vitest'

/** Largest error of an element, relative to the largest element of its tensor. */
const tolerance = 2e-5

/** `scale` stands for the largest element where that is larger. */
export function expectClose(
  found: ArrayLike<number>,
  exact: ArrayLike<number>,
  what: string,
  scale = magnitude(exact),
): void {
  expect(found.length, `${what}: size`).toBe(exact.length)
  const allowed = tolerance * Math.max(scale, magnitude(exact), 1e-3)
  for (let i = 0; i < exact.length; i++) {
    if (!(Math.abs(found[i]! - exact[i]!) <= allowed))
      expect.fail(`${what}: element ${i} is ${found[i]}, not ${exact[i]}`)
  }
}

export function magnitude(values: ArrayLike<number>): number {
  let largest = 0
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]!))
  return largest
}
