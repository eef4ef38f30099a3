/**
 * Which float32 product the native kernels use: the built-in one with blocks of some size, or OpenBLAS. The set-up
 * measures it once per processor, library and build (tune-products.ts) and keeps it beside the library; the loader only reads. Two
 * processes that measured for themselves could choose differently, and their results would differ in bits.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { RankscopeError } from '@rankscope/protocol'
import { z } from 'zod'
import { buildFolder } from './built-library.ts'

export const sgemmChoiceSchema = z.object({
  /** `built-in`, or OpenBLAS. */
  product: z.enum(['built-in', 'openblas']),
  /** Of the built-in product: depth and rows of its blocks; 0 leaves them as they are. */
  depth: z.int().min(0).max(4096),
  rows: z.int().min(0).max(4096),
})
export type SgemmChoice = z.infer<typeof sgemmChoiceSchema>

const tuningSchema = z.object({
  /** File name of the library that was measured. */
  library: z.string(),
  choice: sgemmChoiceSchema,
  /** GFLOP/s of one thread, geometric means over the shapes, by candidate. */
  rates: z.record(z.string(), z.number()),
})
export type Tuning = z.infer<typeof tuningSchema>

const file = join(buildFolder, 'sgemm.json')

/** What was measured of this library; null where nothing was. */
export function readTuning(library: string): Tuning | null {
  try {
    const tuning = tuningSchema.parse(JSON.parse(readFileSync(file, 'utf8')))
    return tuning.library === library ? tuning : null
  } catch {
    return null
  }
}

export function writeTuning(tuning: Tuning): void {
  writeFileSync(`${file}.${process.pid}`, `${JSON.stringify(tuning, null, 2)}\n`)
  renameSync(`${file}.${process.pid}`, file)
}

/** `openblas`, `built-in`, `built-in:256x96`: RANKSCOPE_SGEMM, which overrides what was measured. */
export function wishedSgemm(text = process.env['RANKSCOPE_SGEMM']): SgemmChoice | null {
  if (!text) return null
  if (text === 'openblas') return { product: 'openblas', depth: 0, rows: 0 }
  const match = /^built-in(?::(\d+)x(\d+))?$/.exec(text)
  const wished = {
    product: 'built-in',
    depth: Number(match?.[1] ?? 0),
    rows: Number(match?.[2] ?? 0),
  } as const
  if (!match || !sgemmChoiceSchema.safeParse(wished).success)
    throw new RankscopeError('CONFIG_INVALID', `RANKSCOPE_SGEMM is “${text}”`, {
      hint: 'take openblas, built-in, or built-in:DEPTHxROWS such as built-in:256x96',
    })
  return wished
}

export function sgemmText({ product, depth, rows }: SgemmChoice): string {
  return product === 'openblas' || depth === 0 ? product : `${product} ${depth} x ${rows}`
}
