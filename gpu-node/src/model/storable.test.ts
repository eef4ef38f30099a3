/** Weights that a type cannot hold are refused by name, at the very value from which rounding gives infinity. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { writeDelta } from '../export/delta.ts'
import { parseConfig } from './config.ts'
import { decodeFloat32, encodeFloats } from './dtypes.ts'
import { parameterSpecs } from './parameters.ts'
import { writeModelFolder } from './save.ts'
import { requireStorable } from './storable.ts'

const folder = mkdtempSync(join(tmpdir(), 'rankscope-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe.each([
  ['F16', 65_519.996, 65_520],
  ['BF16', 3.3961773e38, 3.3961776e38],
] as const)('%s', (dtype, last, first) => {
  it('takes what it rounds to a number, and refuses what it would round to infinity', () => {
    for (const sign of [1, -1]) {
      const [fits, exceeds] = [Float32Array.of(0, sign * last), Float32Array.of(0, sign * first)]
      expect(decodeFloat32(encodeFloats(fits, dtype), dtype).every(Number.isFinite)).toBe(true)
      expect(decodeFloat32(encodeFloats(exceeds, dtype), dtype).every(Number.isFinite)).toBe(false)
      expect(requireStorable('w', fits, dtype)).toBe(fits)
      expect(() => requireStorable('w', exceeds, dtype)).toThrow(
        expect.objectContaining({
          code: 'NUMERIC',
          message: expect.stringMatching(`^tensor w holds .*, which ${dtype} cannot hold`),
        }),
      )
    }
  })
})

it('a number of float64 beyond float32, NaN and infinity are refused as well', () => {
  expect(() => requireStorable('w', Float64Array.of(1e39), 'F32')).toThrow(/1e\+39, which F32 cannot hold/)
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY])
    expect(() => requireStorable('w', Float32Array.of(value), 'F32')).toThrow(`holds ${value}`)
})

const config = parseConfig(
  {
    model_type: 'llama',
    hidden_size: 8,
    intermediate_size: 12,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    vocab_size: 10,
  },
  'config.json',
)

it.each(['F16', 'BF16', 'F32'] as const)(
  'a model with one such weight is not written as %s',
  async (dtype) => {
    const bad = 'model.layers.0.mlp.up_proj.weight'
    const sizes = new Map(
      parameterSpecs(config).map(({ name, shape }) => [name, shape.reduce((size, d) => size * d, 1)]),
    )
    const place = join(folder, dtype)
    const values = (name: string) =>
      new Float32Array(sizes.get(name)!).fill(name === bad ? (dtype === 'F32' ? Number.NaN : 3.4e38) : 1)
    await expect(writeModelFolder(place, config, values, dtype)).rejects.toMatchObject({
      code: 'NUMERIC',
      message: expect.stringContaining(bad),
    })
    expect(existsSync(join(place, 'model.safetensors'))).toBe(false)
  },
)

it('nor is a ΔW that float32 cannot hold', async () => {
  const delta = async () => Float64Array.of(1, 1e39)
  await expect(
    writeDelta(join(folder, 'delta'), [{ module: 'm', rows: 1, columns: 2, delta }]),
  ).rejects.toMatchObject({ code: 'NUMERIC', message: expect.stringContaining('tensor m ') })
})
