/** For tests: results of a backend against exact ones. */
import { expect } from 'vitest'
import type { Precision } from '../../ops/compute-dtype.ts'

/** Largest error of an element, relative to the largest element of its tensor, which counts as `least` where it is smaller. */
interface Tolerance {
  readonly relative: number
  readonly least: number
}

/** What cancels among terms of order one leaves a few units of their last place: 2e-7. */
const ofFloat32: Tolerance = { relative: 2e-5, least: 1e-2 }

/** TF32 cuts operands to 11 bits; differences that cancel in float32 leave that much of what cancels. 3xTF32 is float32. */
export function toleranceOf({ products }: Partial<Precision>): Tolerance {
  return products === 'TF32' ? { relative: 3e-3, least: 0.1 } : ofFloat32
}

/** `scale` stands for the largest element where that is larger. */
export function expectClose(
  found: ArrayLike<number>,
  exact: ArrayLike<number>,
  what: string,
  scale = magnitude(exact),
  { relative, least } = ofFloat32,
): void {
  expect(found.length, `${what}: size`).toBe(exact.length)
  const allowed = relative * Math.max(scale, magnitude(exact), least)
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
