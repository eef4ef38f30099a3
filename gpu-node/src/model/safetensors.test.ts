import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodeBfloat16Transposed, decodeFloat32, encodeFloats } from './dtypes.ts'
import { transpose } from './parameters.ts'
import { openSafetensors, readBytes, readFloat32, readFloat64, writeSafetensors } from './safetensors.ts'
import { openWeights } from './shards.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rankscope-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A file with the given header object (or text) and body. */
function fileWith(header: unknown, body: Uint8Array): string {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  const file = join(folder, 'made.safetensors')
  writeFileSync(file, Buffer.concat([length, text, body]))
  return file
}

const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
})

describe('element types', () => {
  it('float16 and bfloat16 survive reading and writing for every bit pattern that is a number', () => {
    const halves = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits)
    for (const dtype of ['F16', 'BF16'] as const) {
      const values = decodeFloat32(new Uint8Array(halves.buffer), dtype)
      const back = new Uint16Array(encodeFloats(values, dtype).buffer)
      for (let bits = 0; bits < 0x10000; bits++) {
        const isNumber = !Number.isNaN(values[bits])
        if (isNumber && back[bits] !== bits) expect.fail(`${dtype} ${bits.toString(16)} became ${back[bits]}`)
      }
    }
  })

  it('a bfloat16 matrix is widened into its transpose, at odd addresses too', () => {
    for (const [rows, columns] of [
      [1, 1],
      [33, 70],
      [64, 31],
      [3, 100],
    ] as const) {
      const values = Float32Array.from({ length: rows * columns }, (_, index) => Math.sin(index))
      const bytes = encodeFloats(values, 'BF16')
      const expected = transpose(decodeFloat32(bytes, 'BF16'), rows, columns)
      for (const shift of [0, 1, 2]) {
        const shifted = new Uint8Array(bytes.length + shift)
        shifted.set(bytes, shift)
        const found = decodeBfloat16Transposed(shifted.subarray(shift), rows, columns)
        expect(found).toEqual(expected)
      }
    }
  })

  it('rounding to float16 and bfloat16 goes to nearest, ties to even', () => {
    const cases: [dtype: 'F16' | 'BF16', from: number, to: number][] = [
      ['BF16', 1 + 2 ** -8, 1],
      ['BF16', 1 + 3 * 2 ** -8, 1 + 2 ** -6],
      ['BF16', 1 + 2 ** -8 + 2 ** -20, 1 + 2 ** -7],
      ['F16', 1 + 2 ** -11, 1],
      ['F16', 1 + 3 * 2 ** -11, 1 + 2 ** -9],
      ['F16', 65519, 65504],
      ['F16', 65520, Number.POSITIVE_INFINITY],
      ['F16', 2 ** -25, 0],
      ['F16', 2 ** -25 * 1.001, 2 ** -24],
      ['F16', -3 * 2 ** -25, -2 * 2 ** -24],
    ]
    for (const [dtype, from, to] of cases)
      expect(decodeFloat32(encodeFloats(Float32Array.of(from), dtype), dtype)[0], `${dtype} ${from}`).toBe(to)
    expect(decodeFloat32(encodeFloats(Float32Array.of(Number.NaN), 'F16'), 'F16')[0]).toBeNaN()
  })

  it('rounding picks a neighbour no farther than any other', () => {
    fc.assert(
      fc.property(fc.float({ min: -60000, max: 60000, noNaN: true }), (value) => {
        const stored = decodeFloat32(encodeFloats(Float32Array.of(value), 'F16'), 'F16')[0] as number
        const ulp = Math.max(2 ** -24, 2 ** (Math.floor(Math.log2(Math.max(Math.abs(value), 2 ** -14))) - 10))
        return Math.abs(stored - value) <= ulp / 2
      }),
      { seed: 7, numRuns: 2000 },
    )
  })
})

describe('files', () => {
  it('what is written is read back, with an aligned header and no temporary file left', async () => {
    const file = join(folder, 'written.safetensors')
    const values = Float32Array.of(1, -2.5, 1e-30, 7, 8, 9)
    await writeSafetensors(file, [
      { name: 'b', dtype: 'BF16', shape: [2], values: Float32Array.of(1.5, -2) },
      { name: 'flags', dtype: 'U8', shape: [3], bytes: Uint8Array.of(1, 2, 3) },
      { name: 'a', dtype: 'F32', shape: [2, 3], values },
      { name: 'd', dtype: 'F64', shape: [1], values: Float64Array.of(Math.PI) },
      { name: 'scalar', dtype: 'F16', shape: [], values: Float32Array.of(0.5) },
      { name: 'empty', dtype: 'F32', shape: [0, 4], values: new Float32Array(0) },
    ])
    expect(readFileSync(file).readBigUInt64LE(0) % 8n).toBe(0n)
    const { tensors, metadata } = openSafetensors(file)
    const tensor = (name: string) => tensors.get(name)!
    expect(metadata).toEqual({ format: 'pt' })
    expect(readFloat32(tensor('a'))).toEqual(values)
    expect(readFloat64(tensor('d'))).toEqual(Float64Array.of(Math.PI))
    expect(readFloat32(tensor('b'))).toEqual(Float32Array.of(1.5, -2))
    expect(readFloat64(tensor('scalar'))).toEqual(Float64Array.of(0.5))
    expect(readBytes(tensor('flags'))).toEqual(Uint8Array.of(1, 2, 3))
    expect(readFloat32(tensor('empty'))).toHaveLength(0)
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })

  it.each([
    ['a hole', { a: f32(0, 4), b: f32(8, 12) }, 12, /hole of 4 bytes before tensor b/],
    ['an overlap', { a: f32(0, 8), b: f32(4, 12) }, 12, /tensor b overlaps/],
    ['data beyond the end', { a: f32(0, 16) }, 12, /tensor a ends 4 bytes beyond the end/],
    ['bytes that belong to nothing', { a: f32(0, 4) }, 12, /8 bytes at its end belong to no tensor/],
    [
      'a size that contradicts the shape',
      { a: f32(0, 8, [3]) },
      8,
      /tensor a of F32 \[3\] needs 12 bytes and has 8/,
    ],
    [
      'an unknown element type',
      { a: { ...f32(0, 8), dtype: 'X9' } },
      8,
      /tensor a has the unknown element type X9/,
    ],
    [
      'a malformed entry',
      { a: { dtype: 'F32', shape: [-1], data_offsets: [0, 4] } },
      4,
      /entry of tensor a is malformed/,
    ],
    ['a header that is not JSON', '{"a"', 0, /not JSON/],
    ['a header that is no object', '[1]', 0, /not JSON/],
  ])('%s is refused, naming file and tensor', (_, header, bodyBytes, message) => {
    const file = fileWith(header, new Uint8Array(bodyBytes))
    expect(() => openSafetensors(file)).toThrow(message)
    expect(() => openSafetensors(file)).toThrow(
      expect.objectContaining({ code: 'MODEL_BROKEN', message: expect.stringContaining(file) }),
    )
  })

  it('a file shorter than its header claims is refused', () => {
    const file = join(folder, 'short.safetensors')
    writeFileSync(file, Uint8Array.of(255, 255, 0, 0, 0, 0, 0, 0, 123))
    expect(() => openSafetensors(file)).toThrow(/claims 65535 bytes, the file has 9/)
    writeFileSync(file, Uint8Array.of(1, 2))
    expect(() => openSafetensors(file)).toThrow(/less than a header/)
  })

  it('integers are refused where weights are read', () => {
    const file = fileWith({ a: { dtype: 'I32', shape: [1], data_offsets: [0, 4] } }, new Uint8Array(4))
    expect(() => readFloat32(openSafetensors(file).tensors.get('a')!)).toThrow(/tensor a holds I32/)
  })
})

it('values are asked for one tensor after the other, each when the ones before it are in the file', async () => {
  const file = join(folder, 'one-by-one.safetensors')
  const bodies: number[] = []
  const values = () => {
    const written = readdirSync(folder).find((name) => name.endsWith('.tmp'))!
    bodies.push(statSync(join(folder, written)).size)
    return Promise.resolve(new Float32Array(100))
  }
  await writeSafetensors(
    file,
    ['a', 'b', 'c'].map((name) => ({ name, dtype: 'F32', shape: [100], values })),
  )
  expect(bodies.map((size) => size - bodies[0]!)).toEqual([0, 400, 800])
})

describe('shards', () => {
  it('an index finds each tensor in its shard; a missing shard or tensor is named', async () => {
    const shard = (name: string) => `model-0000${name}-of-00002.safetensors`
    await writeSafetensors(join(folder, shard('1')), [
      { name: 'a', dtype: 'F32', shape: [1], values: Float32Array.of(1) },
    ])
    await writeSafetensors(join(folder, shard('2')), [
      { name: 'b', dtype: 'F32', shape: [1], values: Float32Array.of(2) },
    ])
    const index = (map: object) =>
      writeFileSync(
        join(folder, 'model.safetensors.index.json'),
        JSON.stringify({ metadata: {}, weight_map: map }),
      )
    index({ a: shard('1'), b: shard('2') })
    expect(readFloat32(openWeights(folder).get('b')!)).toEqual(Float32Array.of(2))
    index({ a: shard('1'), b: shard('1') })
    expect(() => openWeights(folder)).toThrow(/tensor b is missing/)
    index({ a: shard('3') })
    expect(() => openWeights(folder)).toThrow(/shard model-00003-of-00002.safetensors is missing/)
    index({ a: '../elsewhere.safetensors' })
    expect(() => openWeights(folder)).toThrow(/outside the folder/)
  })
})
