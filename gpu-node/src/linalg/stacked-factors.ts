/** The factors of a sum of low-rank terms side by side, in float64. */
import { assertSize } from './matrix.ts'
import type { FactoredSource } from './spectrum.ts'

/** left [rows, inner] with the terms' factors multiplied in, right [columns, inner] transposed, both float64. */
export function stackedFactors({ rows, columns, terms }: FactoredSource) {
  const inner = terms.reduce((total, term) => total + term.inner, 0)
  const left = new Float64Array(rows * inner)
  const right = new Float64Array(columns * inner)
  let offset = 0
  for (const term of terms) {
    assertSize(term.left, rows, term.inner)
    assertSize(term.right, term.inner, columns)
    for (let i = 0; i < rows; i++) {
      for (let k = 0; k < term.inner; k++)
        left[i * inner + offset + k] = term.factor * term.left[i * term.inner + k]!
    }
    for (let k = 0; k < term.inner; k++) {
      for (let j = 0; j < columns; j++) right[j * inner + offset + k] = term.right[k * columns + j]!
    }
    offset += term.inner
  }
  return { left, right, inner }
}
