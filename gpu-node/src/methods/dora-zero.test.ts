/**
 * DoRA where a column of V = W0 + s A B is zero (a row of a stored weight; Llama-3.1-8B has 511), at the start and later:
 * μ / c must stay a number, forward, backward and merged, on every backend.
 */
import { describe, expect, it } from 'vitest'
import { readValues } from '../optim/state.ts'
import { Random } from '../random.ts'
import { contractBackends } from '../testing/backends/contract-backends.ts'
import { distance } from '../testing/methods/float64.ts'
import { startWith, ToyLayer, type ToySettings } from '../testing/methods/toy-layer.ts'

const [rows, columns, rank] = [8, 6, 2]
const shape = { rows, columns }
/** Columns of W0 that are zero. */
const zero = [1, 4]
const isZeroColumn = (i: number) => zero.includes(i % columns)
const random = new Random(3)
const w = random.fillNormal(new Float32Array(rows * columns), 0, 0.5).map((v, i) => (isZeroColumn(i) ? 0 : v))

const backends = await contractBackends()

describe.each(backends)('%s', (_, { backend, missing }) => {
  describe.each([
    ['norm detached', { detachNorm: true }],
    ['norm not detached', { detachNorm: false }],
    ['dropout', { detachNorm: true, dropout: 0.2 }],
  ])('%s', (_, options) => {
    const layer = async (extra: Partial<ToySettings> = {}, changes = {}) => {
      await backend.start({ threads: 2 })
      return ToyLayer.make({ method: { name: 'dora', rank, ...options, ...changes }, ...shape, w, ...extra })
    }

    it.skipIf(missing)('the start is the identity, with finite gradients, that of B as in LoRA', async () => {
      const toy = await layer({}, { dropout: 0 })
      const output = await toy.output()
      const expected = Float32Array.from({ length: output.length }, (_, i) => {
        const [row, column] = [Math.floor(i / columns), i % columns]
        return toy.x
          .subarray(row * rows)
          .slice(0, rows)
          .reduce((sum, x, k) => sum + x * w[k * columns + column]!, 0)
      })
      expect(distance(output, expected)).toBeLessThan(1e-6)
      const gradients = await toy.gradients()
      for (const gradient of gradients) expect(gradient.every(Number.isFinite)).toBe(true)
      const [, b, magnitude] = gradients
      for (const column of zero) {
        expect(magnitude![column]).toBe(0)
        for (let k = 0; k < rank; k++) expect(b![k * columns + column]).not.toBe(0)
      }
      toy.dispose()
    })

    it.skipIf(missing)(
      'trains: nothing becomes NaN, the zero columns move, merged and trained outputs agree',
      async () => {
        const toy = await layer()
        await toy.steps(12, 1e-2)
        for (const { name, read } of toy.state.entries())
          expect((await read()).every(Number.isFinite), name).toBe(true)
        const merged = await toy.merged()
        for (const column of zero)
          expect(Math.hypot(...merged.filter((_, i) => i % columns === column))).toBeGreaterThan(1e-4)
        const inference = toy.adaptation.inference()
        const output = await toy.output(inference.linear)
        inference.dispose()
        const plain = Float32Array.from({ length: output.length }, (_, i) => {
          const [row, column] = [Math.floor(i / columns), i % columns]
          return toy.x
            .subarray(row * rows, (row + 1) * rows)
            .reduce((sum, x, k) => sum + x * merged[k * columns + column]!, 0)
        })
        expect(distance(output, plain)).toBeLessThan(1e-5)
        const [total] = await toy.parts()
        const delta = (total!.source as { after: Float32Array }).after
        expect(
          distance(
            delta,
            merged.map((value, i) => value - w[i]!),
          ),
        ).toBeLessThan(1e-4)
        toy.dispose()
      },
    )

    it.skipIf(missing).each([
      ['exactly', 1],
      ['but for rounding', 3],
    ])('a column that W0 + s A B makes zero %s stays finite, and merges to zero', async (_, divisor) => {
      // s = α / r = 1. Column 0 of W0 is −A b with numbers that float32 has exactly, or (divided by 3) has not.
      const a = random.fillNormal(new Float32Array(rows * rank)).map((v) => Math.round(8 * v) / 8 / divisor)
      const b = new Float32Array(rank * columns).fill(0.25 / divisor)
      const start = w.slice()
      for (let i = 0; i < rows; i++)
        start[i * columns] = -a.subarray(i * rank, (i + 1) * rank).reduce((sum, v) => sum + v * b[0]!, 0)
      const magnitude = new Float32Array(columns).fill(1)
      const toy = await layer(
        { w: start, initial: startWith({ A: a, B: b, magnitude }) },
        { alpha: rank, dropout: 0 },
      )
      expect((await toy.output()).every(Number.isFinite)).toBe(true)
      for (const gradient of await toy.gradients()) expect(gradient.every(Number.isFinite)).toBe(true)
      const merged = await toy.merged()
      expect(Math.hypot(...merged.filter((_, i) => i % columns === 0))).toBeLessThan(1e-3)
      await toy.steps(3, 1e-3)
      for (const { name, read } of toy.state.entries())
        expect((await read()).every(Number.isFinite), name).toBe(true)
      toy.dispose()
    })
  })

  it.skipIf(missing)(
    'columns that nearly cancel have no root of a negative number, whatever the rounding',
    async () => {
      await backend.start({ threads: 2 })
      const wide = 64
      for (let seed = 0; seed < 8; seed++) {
        const draw = new Random(seed)
        const a = draw.fillNormal(new Float32Array(rows * rank))
        const b = draw.fillNormal(new Float32Array(rank * wide))
        const start = Float32Array.from({ length: rows * wide }, (_, i) => {
          const [row, column] = [Math.floor(i / wide), i % wide]
          return -(a[row * rank]! * b[column]! + a[row * rank + 1]! * b[wide + column]!)
        })
        const toy = await ToyLayer.make({
          method: { name: 'dora', rank, alpha: rank },
          rows,
          columns: wide,
          w: start,
          initial: startWith({ A: a, B: b, magnitude: new Float32Array(wide).fill(1) }),
        })
        const values = await readValues(toy.target.weight)
        expect(values.every(Number.isFinite)).toBe(true)
        expect((await toy.output()).every(Number.isFinite)).toBe(true)
        for (const gradient of await toy.gradients()) expect(gradient.every(Number.isFinite)).toBe(true)
        toy.dispose()
      }
    },
  )
})
