/** Copies of matrices inside larger arrays, as they are or transposed. */

/** A matrix whose rows begin `stride` apart, the first at `start`. */
export interface Strided {
  readonly values: Float32Array
  readonly start: number
  readonly stride: number
}

/** `to` = `from`, [rows, columns]. */
export function copyInto(from: Strided, to: Strided, rows: number, columns: number): void {
  const [source, target] = [from.values, to.values]
  for (let row = 0; row < rows; row++) {
    const first = from.start + row * from.stride
    const last = first + columns
    for (let i = first, j = to.start + row * to.stride; i < last; i++, j++) target[j] = source[i]!
  }
}

/** Rows that are read in turns: what of them lies in the first-level cache is used before it leaves. */
const block = 64

/** `to` [columns, rows] = the transpose of `from` [rows, columns]; four columns at a time. */
export function transposeInto(from: Strided, to: Strided, rows: number, columns: number): void {
  const [source, target] = [from.values, to.values]
  const [across, along] = [from.stride, to.stride]
  for (let firstRow = 0; firstRow < rows; firstRow += block) {
    const count = Math.min(block, rows - firstRow)
    const read = from.start + firstRow * across
    const written = to.start + firstRow
    let column = 0
    for (; column + 4 <= columns; column += 4) {
      const end = written + column * along + count
      for (let i = read + column, j = written + column * along; j < end; i += across, j++) {
        target[j] = source[i]!
        target[j + along] = source[i + 1]!
        target[j + 2 * along] = source[i + 2]!
        target[j + 3 * along] = source[i + 3]!
      }
    }
    for (; column < columns; column++) {
      const end = written + column * along + count
      for (let i = read + column, j = written + column * along; j < end; i += across, j++)
        target[j] = source[i]!
    }
  }
}
