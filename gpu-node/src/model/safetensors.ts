/**
 * Reader and writer of safetensors files (the format of github.com/huggingface/safetensors).
 *
 * A file is: u64 little-endian header length, the header as JSON `{name: {dtype, shape, data_offsets}}`, then
 * the bytes of all tensors back to back. Everything the header claims is checked before a byte is used: no
 * hole, no overlap, nothing beyond the end. Tensors are read one at a time, so a checkpoint never has to fit
 * in memory twice.
 */
import { closeSync, fstatSync, openSync } from 'node:fs'
import { RankscopeError } from '@rankscope/protocol'
import { z } from 'zod'
import { type RoomOnDisk, readFully, writeDurably } from '../durable-files.ts'
import {
  type Dtype,
  decodeBfloat16Transposed,
  decodeFloat32,
  decodeFloat64,
  elementBytes,
  encodeFloats,
  type FloatDtype,
  isDtype,
  isFloatDtype,
} from './dtypes.ts'
import { transpose } from './parameters.ts'
import { recogniseFile } from './recognise.ts'
import { requireRegularFile } from './regular-file.ts'

/** Where one tensor lies. */
export interface TensorInfo {
  readonly name: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
  /** Path of the file that holds it. */
  readonly file: string
  /** First byte, counted from the start of the file. */
  readonly offsetBytes: number
  readonly sizeBytes: number
}

export interface SafetensorsFile {
  readonly file: string
  readonly metadata: Readonly<Record<string, string>>
  readonly tensors: ReadonlyMap<string, TensorInfo>
}

type Floats = Float32Array | Float64Array

/**
 * A tensor to write: floating-point values that become `dtype`, best asked for when their turn comes, so that one tensor is
 * held at a time; or bytes that are `dtype` already.
 */
export type TensorToWrite = { readonly name: string; readonly shape: readonly number[] } & (
  | { readonly dtype: FloatDtype; readonly values: Floats | (() => Floats | Promise<Floats>) }
  | { readonly dtype: Dtype; readonly bytes: Uint8Array }
)

const maximumHeaderBytes = 100_000_000
const count = z.int().min(0)
const entrySchema = z.object({
  dtype: z.string(),
  shape: z.array(count),
  data_offsets: z.tuple([count, count]),
})
const metadataSchema = z.record(z.string(), z.string())

/** Reads and checks the header of `file`. Throws MODEL_BROKEN, naming the file and the tensor. */
export function openSafetensors(file: string): SafetensorsFile {
  requireRegularFile(file, 'MODEL_BROKEN')
  const other = recogniseFile(file)
  if (other) throw new RankscopeError('MODEL_BROKEN', `${file}: this is ${other.what}`, { hint: other.hint })
  const { header, bodyStart, bodyBytes } = readHeader(file)
  const { __metadata__: rawMetadata, ...rawEntries } = header
  const metadata = metadataSchema.safeParse(rawMetadata ?? {})
  if (!metadata.success) throw broken(file, 'its __metadata__ is not a map from text to text')
  const tensors: TensorInfo[] = Object.entries(rawEntries).map(([name, raw]) =>
    checkEntry(file, name, raw, bodyStart),
  )
  checkCoverage(file, tensors, bodyStart, bodyBytes)
  return { file, metadata: metadata.data, tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])) }
}

/** The bytes of one tensor, as stored; in the first bytes of `into` where it is given and large enough. */
export function readBytes(tensor: TensorInfo, into?: Uint8Array<ArrayBuffer>): Uint8Array {
  const descriptor = openSync(tensor.file, 'r')
  try {
    return readExactly(descriptor, tensor.file, tensor.offsetBytes, tensor.sizeBytes, into)
  } finally {
    closeSync(descriptor)
  }
}

/** Whether two tensors hold the same values in the same type, compared a part at a time. */
export function sameValues(a: TensorInfo, b: TensorInfo): boolean {
  if (a.dtype !== b.dtype || a.shape.join() !== b.shape.join()) return false
  const part = 2 ** 24
  const read = (tensor: TensorInfo, start: number) =>
    readBytes({
      ...tensor,
      offsetBytes: tensor.offsetBytes + start,
      sizeBytes: Math.min(part, tensor.sizeBytes - start),
    })
  for (let start = 0; start < a.sizeBytes; start += part)
    if (Buffer.compare(read(a, start), read(b, start)) !== 0) return false
  return true
}

/** One tensor as float32, row-major. Throws MODEL_BROKEN for an integer tensor. */
export function readFloat32(tensor: TensorInfo): Float32Array {
  return decodeFloat32(readBytes(tensor), requireFloats(tensor).dtype)
}

/** One matrix [rows, columns] as float32 in the order of its transpose. Throws MODEL_BROKEN for an integer tensor. */
export function readTransposed(tensor: TensorInfo): Float32Array {
  const [rows = 1, columns = 1] = tensor.shape
  const dtype = requireFloats(tensor).dtype
  return dtype === 'BF16'
    ? decodeBfloat16Transposed(readBytes(tensor), rows, columns)
    : transpose(decodeFloat32(readBytes(tensor), dtype), rows, columns)
}

/** One tensor as float64, row-major, without loss. Throws MODEL_BROKEN for an integer tensor. */
export function readFloat64(tensor: TensorInfo): Float64Array {
  return decodeFloat64(readBytes(tensor), requireFloats(tensor).dtype)
}

/**
 * Writes a file in the order of the reference writer (widest elements first, then by name), to a temporary
 * file beside it that takes the name when it is complete and on disk. `format: pt` is what transformers asks for.
 * `room` may wait where the disk is full.
 */
export async function writeSafetensors(
  file: string,
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
  room?: RoomOnDisk,
): Promise<void> {
  const ordered = writingOrder(tensors)
  const header: Record<string, unknown> = { __metadata__: metadata }
  let end = 0
  for (const tensor of ordered) {
    const begin = end
    end += elementCount(tensor.shape) * elementBytes[tensor.dtype]
    if (Object.hasOwn(header, tensor.name)) throw new Error(`two tensors are named ${tensor.name}`)
    header[tensor.name] = { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [begin, end] }
  }
  const json = Buffer.from(JSON.stringify(header), 'utf8')
  const prefix = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, ' ')
  prefix.writeBigUInt64LE(BigInt(prefix.length - 8), 0)
  json.copy(prefix, 8)
  await writeDurably(
    file,
    async (put) => {
      await put(prefix)
      for (const tensor of ordered) await put(await bytesToWrite(tensor))
    },
    room,
  )
}

/** The order in which tensors are written, and asked for their values. */
export function writingOrder<T extends { name: string; dtype: Dtype }>(tensors: readonly T[]): T[] {
  return [...tensors].sort(
    (a, b) => elementBytes[b.dtype] - elementBytes[a.dtype] || (a.name < b.name ? -1 : 1),
  )
}

async function bytesToWrite(tensor: TensorToWrite): Promise<Uint8Array> {
  const bytes = 'values' in tensor ? encodeFloats(await valuesOf(tensor), tensor.dtype) : tensor.bytes
  if (bytes.length !== elementCount(tensor.shape) * elementBytes[tensor.dtype])
    throw new Error(`${tensor.name}: ${bytes.length} bytes do not fill shape [${tensor.shape}]`)
  return bytes
}

function valuesOf({ values }: Extract<TensorToWrite, { values: unknown }>): Floats | Promise<Floats> {
  return typeof values === 'function' ? values() : values
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

function readHeader(file: string): { header: Record<string, unknown>; bodyStart: number; bodyBytes: number } {
  const descriptor = openSync(file, 'r')
  try {
    const fileBytes = fstatSync(descriptor).size
    if (fileBytes < 8) throw broken(file, `it has ${fileBytes} bytes, less than a header`)
    const view = new DataView(readExactly(descriptor, file, 0, 8).buffer)
    const headerBytes = Number(view.getBigUint64(0, true))
    if (headerBytes > maximumHeaderBytes || 8 + headerBytes > fileBytes)
      throw broken(file, `its header claims ${headerBytes} bytes, the file has ${fileBytes}`)
    const text = Buffer.from(readExactly(descriptor, file, 8, headerBytes)).toString('utf8')
    if (!text.startsWith('{')) throw broken(file, 'its header is not JSON')
    try {
      const header = JSON.parse(text) as Record<string, unknown>
      return { header, bodyStart: 8 + headerBytes, bodyBytes: fileBytes - 8 - headerBytes }
    } catch (cause) {
      throw broken(file, 'its header is not JSON', cause)
    }
  } finally {
    closeSync(descriptor)
  }
}

function checkEntry(file: string, name: string, raw: unknown, bodyStart: number): TensorInfo {
  const parsed = entrySchema.safeParse(raw)
  if (!parsed.success) throw broken(file, `the header entry of tensor ${name} is malformed`)
  const { dtype, shape, data_offsets: offsets } = parsed.data
  if (!isDtype(dtype)) throw broken(file, `tensor ${name} has the unknown element type ${dtype}`)
  const [begin, end] = offsets
  const expected = elementCount(shape) * elementBytes[dtype]
  if (end - begin !== expected)
    throw broken(file, `tensor ${name} of ${dtype} [${shape}] needs ${expected} bytes and has ${end - begin}`)
  return { name, dtype, shape, file, offsetBytes: bodyStart + begin, sizeBytes: end - begin }
}

/** The tensors must lie back to back from the first byte of the body to its last. */
function checkCoverage(file: string, tensors: TensorInfo[], bodyStart: number, bodyBytes: number): void {
  let end = bodyStart
  for (const tensor of [...tensors].sort(
    (a, b) => a.offsetBytes - b.offsetBytes || a.sizeBytes - b.sizeBytes,
  )) {
    if (tensor.offsetBytes < end) throw broken(file, `tensor ${tensor.name} overlaps the one before it`)
    if (tensor.offsetBytes > end)
      throw broken(file, `there is a hole of ${tensor.offsetBytes - end} bytes before tensor ${tensor.name}`)
    end += tensor.sizeBytes
    if (end > bodyStart + bodyBytes)
      throw broken(
        file,
        `tensor ${tensor.name} ends ${end - bodyStart - bodyBytes} bytes beyond the end of the file`,
      )
  }
  if (end !== bodyStart + bodyBytes)
    throw broken(file, `${bodyStart + bodyBytes - end} bytes at its end belong to no tensor`)
}

/** The tensor itself. Throws MODEL_BROKEN where it holds integers. */
export function requireFloats(tensor: TensorInfo): TensorInfo & { readonly dtype: FloatDtype } {
  const { dtype } = tensor
  if (isFloatDtype(dtype)) return { ...tensor, dtype }
  throw broken(tensor.file, `tensor ${tensor.name} holds ${tensor.dtype}, floating-point weights are needed`)
}

function readExactly(
  descriptor: number,
  file: string,
  position: number,
  length: number,
  into?: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  const bytes = into && into.length >= length ? into.subarray(0, length) : new Uint8Array(length)
  if (readFully(descriptor, bytes, position) < length) throw broken(file, 'it ends early')
  return bytes
}

function broken(file: string, what: string, cause?: unknown): RankscopeError {
  const hint = 'The file is damaged or was cut short; fetch or export it again.'
  return new RankscopeError('MODEL_BROKEN', `${file}: ${what}`, {
    hint,
    ...(cause === undefined ? {} : { cause }),
  })
}
