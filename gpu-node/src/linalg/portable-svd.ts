/**
 * SVD of a tall float64 matrix by Householder bidiagonalisation and implicitly shifted QR iteration
 * (Golub and Kahan 1965, Golub and Reinsch 1970; the case analysis follows LINPACK's dsvdc).
 *
 * Left and right vectors are kept as rows, so that each rotation touches two contiguous stretches of memory.
 */
import { makeReflector, reflect } from './householder.ts'
import { nonConvergence } from './matrix.ts'

const epsilon = 2 ** -52
/** Rotations below this cannot be told from zero. */
const tiny = 2 ** -966
const maximumSweepsPerValue = 75

/** One bidiagonal problem: diagonal s, superdiagonal e (e[i] beside s[i]), vectors as rows or absent. */
interface Bidiagonal {
  readonly s: Float64Array
  readonly e: Float64Array
  readonly left: Float64Array[] | null
  readonly right: Float64Array[] | null
}

/** a [rows, columns] with rows >= columns, overwritten. ut [columns, rows], s [columns], vt [columns, columns]. */
export function bidiagonalSvd(a: Float64Array, rows: number, columns: number, wantVectors: boolean) {
  const ut = new Float64Array(wantVectors ? columns * rows : 0)
  const vt = new Float64Array(wantVectors ? columns * columns : 0)
  const { s, e } = bidiagonalise(a, rows, columns, wantVectors ? { ut, vt } : null)
  const rowsOf = (matrix: Float64Array, width: number) =>
    Array.from({ length: columns }, (_, i) => matrix.subarray(i * width, (i + 1) * width))
  const problem = {
    s,
    e,
    left: wantVectors ? rowsOf(ut, rows) : null,
    right: wantVectors ? rowsOf(vt, columns) : null,
  }
  diagonalise(problem, rows)
  return sortDescending(problem, { ut, vt })
}

/** a = U B Vᵀ with B upper bidiagonal; the reflectors are applied to the identity where vectors are wanted. */
function bidiagonalise(
  a: Float64Array,
  rows: number,
  columns: number,
  vectors: { ut: Float64Array; vt: Float64Array } | null,
) {
  const s = new Float64Array(columns)
  const e = new Float64Array(columns)
  const column = new Float64Array(rows)
  const projection = new Float64Array(columns)
  const leftReflectors = vectors ? new Float64Array(columns * rows) : null
  const rightReflectors = vectors ? new Float64Array(columns * columns) : null
  for (let k = 0; k < columns; k++) {
    for (let i = k; i < rows; i++) column[i] = a[i * columns + k]!
    const head = column[k]!
    s[k] = makeReflector(column, k) ? reflectedHead(a, head, k, rows, columns) : 0
    applyFromLeft(a, column, projection, k, rows, columns)
    leftReflectors?.set(column, k * rows)
    if (k + 1 >= columns) break
    const row = a.slice(k * columns, (k + 1) * columns)
    const rowHead = row[k + 1]!
    const rowNorm = norm(row, k + 1)
    e[k] = makeReflector(row, k + 1) ? (rowHead < 0 ? rowNorm : -rowNorm) : 0
    for (let i = k + 1; i < rows; i++) reflect(row, a.subarray(i * columns, (i + 1) * columns), k + 1)
    rightReflectors?.set(row, k * columns)
  }
  if (vectors && leftReflectors && rightReflectors) {
    for (let k = columns - 1; k >= 0; k--) {
      vectors.ut[k * rows + k] = 1
      vectors.vt[k * columns + k] = 1
      const left = leftReflectors.subarray(k * rows, (k + 1) * rows)
      for (let j = k; j < columns; j++) reflect(left, vectors.ut.subarray(j * rows, (j + 1) * rows), k)
      if (k + 1 >= columns) continue
      const right = rightReflectors.subarray(k * columns, (k + 1) * columns)
      for (let j = k + 1; j < columns; j++) {
        reflect(right, vectors.vt.subarray(j * columns, (j + 1) * columns), k + 1)
      }
    }
  }
  return { s, e }
}

/** What the reflector leaves at the head of column k: its norm with the opposite sign. */
function reflectedHead(a: Float64Array, head: number, k: number, rows: number, columns: number): number {
  let largest = 0
  for (let i = k; i < rows; i++) largest = Math.max(largest, Math.abs(a[i * columns + k]!))
  let sum = 0
  for (let i = k; i < rows; i++) sum += (a[i * columns + k]! / largest) ** 2
  const length = largest * Math.sqrt(sum)
  return head < 0 ? length : -length
}

function norm(x: Float64Array, from: number): number {
  let largest = 0
  for (let i = from; i < x.length; i++) largest = Math.max(largest, Math.abs(x[i]!))
  if (largest === 0) return 0
  let sum = 0
  for (let i = from; i < x.length; i++) sum += (x[i]! / largest) ** 2
  return largest * Math.sqrt(sum)
}

function applyFromLeft(
  a: Float64Array,
  v: Float64Array,
  projection: Float64Array,
  k: number,
  rows: number,
  columns: number,
): void {
  projection.fill(0)
  for (let i = k; i < rows; i++) {
    const factor = v[i]!
    for (let j = k + 1, at = i * columns + k + 1; j < columns; j++, at++) projection[j]! += factor * a[at]!
  }
  for (let i = k; i < rows; i++) {
    const factor = v[i]!
    for (let j = k + 1, at = i * columns + k + 1; j < columns; j++, at++) a[at]! -= factor * projection[j]!
  }
}

/** Drives every e to zero, from the bottom up. */
function diagonalise(problem: Bidiagonal, rows: number): void {
  const { s, e } = problem
  let p = s.length
  let sweeps = 0
  while (p > 0) {
    if (sweeps > maximumSweepsPerValue) throw nonConvergence(rows, s.length)
    const start = splitPoint(s, e, p)
    if (start === p - 1) {
      makePositive(problem, p - 1)
      p--
      sweeps = 0
      continue
    }
    const zero = negligibleDiagonal(s, e, start, p)
    if (zero === p - 1) chaseLastRowZero(problem, start, p)
    else if (zero >= start) chaseInnerZero(problem, zero, p)
    else {
      shiftedSweep(problem, start, p)
      sweeps++
    }
  }
}

/** The first index of the last block whose superdiagonal has no negligible entry; negligible ones become 0. */
function splitPoint(s: Float64Array, e: Float64Array, p: number): number {
  for (let k = p - 2; k >= 0; k--) {
    if (Math.abs(e[k]!) <= tiny + epsilon * (Math.abs(s[k]!) + Math.abs(s[k + 1]!))) {
      e[k] = 0
      return k + 1
    }
  }
  return 0
}

/** The last index in [start, p) whose diagonal entry is negligible beside its neighbours, or -1. */
function negligibleDiagonal(s: Float64Array, e: Float64Array, start: number, p: number): number {
  for (let k = p - 1; k >= start; k--) {
    const beside = (k < p - 1 ? Math.abs(e[k]!) : 0) + (k > start ? Math.abs(e[k - 1]!) : 0)
    if (Math.abs(s[k]!) <= tiny + epsilon * beside) {
      s[k] = 0
      return k
    }
  }
  return -1
}

/** s[p-1] = 0: rotates e[p-2] away upwards, through the right vectors. */
function chaseLastRowZero({ s, e, right }: Bidiagonal, start: number, p: number): void {
  let f = e[p - 2]!
  e[p - 2] = 0
  for (let j = p - 2; j >= start; j--) {
    const t = Math.hypot(s[j]!, f)
    const [cosine, sine] = [s[j]! / t, f / t]
    s[j] = t
    if (j !== start) {
      f = -sine * e[j - 1]!
      e[j - 1] = cosine * e[j - 1]!
    }
    if (right) rotate(right[j]!, right[p - 1]!, cosine, sine)
  }
}

/** s[zero] = 0 inside a block: rotates e[zero] away downwards, through the left vectors. */
function chaseInnerZero({ s, e, left }: Bidiagonal, zero: number, p: number): void {
  let f = e[zero]!
  e[zero] = 0
  for (let j = zero + 1; j < p; j++) {
    const t = Math.hypot(s[j]!, f)
    const [cosine, sine] = [s[j]! / t, f / t]
    s[j] = t
    f = -sine * e[j]!
    e[j] = cosine * e[j]!
    if (left) rotate(left[j]!, left[zero]!, cosine, sine)
  }
}

/** One implicitly shifted QR sweep over [start, p); the shift comes from the trailing 2 x 2 block. */
function shiftedSweep({ s, e, left, right }: Bidiagonal, start: number, p: number): void {
  const scale = Math.max(
    ...[
      Math.abs(s[p - 1]!),
      Math.abs(s[p - 2]!),
      Math.abs(e[p - 2]!),
      Math.abs(s[start]!),
      Math.abs(e[start]!),
    ],
  )
  const [last, before, beside] = [s[p - 1]! / scale, s[p - 2]! / scale, e[p - 2]! / scale]
  const first = s[start]! / scale
  const b = ((before + last) * (before - last) + beside * beside) / 2
  const c = (last * beside) ** 2
  let shift = 0
  if (b !== 0 || c !== 0) {
    const root = Math.sqrt(b * b + c)
    shift = c / (b + (b < 0 ? -root : root))
  }
  let f = (first + last) * (first - last) + shift
  let g = (first * e[start]!) / scale
  for (let j = start; j < p - 1; j++) {
    let t = Math.hypot(f, g)
    let [cosine, sine] = t === 0 ? [1, 0] : [f / t, g / t]
    if (j !== start) e[j - 1] = t
    f = cosine * s[j]! + sine * e[j]!
    e[j] = cosine * e[j]! - sine * s[j]!
    g = sine * s[j + 1]!
    s[j + 1] = cosine * s[j + 1]!
    if (right) rotate(right[j]!, right[j + 1]!, cosine, sine)
    t = Math.hypot(f, g)
    ;[cosine, sine] = t === 0 ? [1, 0] : [f / t, g / t]
    s[j] = t
    f = cosine * e[j]! + sine * s[j + 1]!
    s[j + 1] = cosine * s[j + 1]! - sine * e[j]!
    g = sine * e[j + 1]!
    e[j + 1] = cosine * e[j + 1]!
    if (left) rotate(left[j]!, left[j + 1]!, cosine, sine)
  }
  e[p - 2] = f
}

function rotate(x: Float64Array, y: Float64Array, cosine: number, sine: number): void {
  for (let i = 0; i < x.length; i++) {
    const xi = x[i]!
    const yi = y[i]!
    x[i] = cosine * xi + sine * yi
    y[i] = cosine * yi - sine * xi
  }
}

function makePositive({ s, right }: Bidiagonal, k: number): void {
  if (s[k]! >= 0) return
  s[k] = -s[k]!
  const row = right?.[k]
  if (row) for (let i = 0; i < row.length; i++) row[i] = -row[i]!
}

function sortDescending({ s, left, right }: Bidiagonal, { ut, vt }: { ut: Float64Array; vt: Float64Array }) {
  const order = [...s.keys()].sort((i, j) => s[j]! - s[i]!)
  if (!left || !right) return { ut, s: s.toSorted().reverse(), vt }
  const sortedLeft = new Float64Array(ut.length)
  const sortedRight = new Float64Array(vt.length)
  order.forEach((from, to) => {
    sortedLeft.set(left[from]!, to * left[from]!.length)
    sortedRight.set(right[from]!, to * right[from]!.length)
  })
  return { ut: sortedLeft, s: Float64Array.from(order, (k) => s[k]!), vt: sortedRight }
}
