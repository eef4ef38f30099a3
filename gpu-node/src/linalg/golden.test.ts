/** Spectra of ΔW against those that torch computed for the golden runs. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { openSafetensors, readFloat32, readFloat64 } from '../model/safetensors.ts'
import { createLapack } from './lapack.ts'
import { createPortable } from './portable.ts'
import { type LowRankTerm, spectrum } from './spectrum.ts'

const shared = process.env['RANKSCOPE_SHARED'] ?? new URL('../../../../shared', import.meta.url).pathname
const cases = `${shared}/golden/cases`
const present = existsSync(cases)
const lapack = createLapack()
const siblings = [createPortable(), ...('missing' in lapack ? [] : [lapack])]
const truthPrefix = 'float64_final_delta_w.'

function load(name: string) {
  const expected = JSON.parse(readFileSync(`${cases}/${name}/expected.json`, 'utf8'))
  const config = JSON.parse(readFileSync(`${cases}/${name}/config.json`, 'utf8'))
  return { expected, config, tensors: openSafetensors(`${cases}/${name}/tensors.safetensors`).tensors }
}

function largestDifference(values: Float64Array, golden: readonly number[]): number {
  expect(values).toHaveLength(golden.length)
  return golden.reduce((most, value, i) => Math.max(most, Math.abs(value - values[i]!)), 0)
}

describe.skipIf(!present)(`golden spectra (skipped where ${cases} is absent)`, () => {
  test.each(present ? readdirSync(cases) : [])('%s: stored ΔW, decomposed in float64', (name) => {
    const { expected, tensors } = load(name)
    const modules = [...tensors.keys()].filter((key) => key.startsWith(truthPrefix))
    expect(modules.length).toBeGreaterThan(0)
    for (const key of modules) {
      const tensor = tensors.get(key)!
      const module = key.slice(truthPrefix.length)
      const golden: number[] = expected.float64_truth.singular_values_of_delta_w_final[module]
      const norm: number = expected.float64_truth.delta_w_frobenius_per_step[module].at(-1)
      const [rows, columns] = tensor.shape as [number, number]
      for (const algebra of siblings) {
        const after = readFloat64(tensor)
        const result = spectrum(algebra, { kind: 'dense', rows, columns, after, before: null }, () => 0)
        expect(largestDifference(result.singularValues, golden)).toBeLessThan(1e-11 * golden[0]!)
        expect(result.frobenius / norm).toBeCloseTo(1, 10)
      }
    }
  })

  const factored = [
    { name: 'ft_21_lora', scale: (alpha: number, rank: number) => alpha / rank },
    { name: 'ft_23_rslora', scale: (alpha: number, rank: number) => alpha / Math.sqrt(rank) },
    { name: 'ft_24_pissa', scale: (alpha: number, rank: number) => alpha / rank },
  ]
  test.each(factored)('$name: trained factors, without forming ΔW', ({ name, scale }) => {
    const { expected, config, tensors } = load(name)
    const rank: number = config.rank_r
    const factor = scale(config.alpha, rank)
    const golden: Record<string, number[]> = expected.reference_float32.singular_values_of_delta_w_final
    for (const [module, values] of Object.entries(golden)) {
      const product = (prefix: string, sign: number): LowRankTerm | null => {
        const [a, b] = [tensors.get(`${prefix}.lora_A`), tensors.get(`${prefix}.lora_B`)]
        return a && b
          ? { left: readFloat32(b), right: readFloat32(a), inner: rank, factor: sign * factor }
          : null
      }
      const trained = product(`reference_float32_final.${module}`, 1)!
      // Only PiSSA starts from a product that is not zero.
      const start = product(`init.${module}`, -1)
      const terms = start ? [trained, start] : [trained]
      const [rows, columns] = [trained.left.length / rank, trained.right.length / rank]
      for (const algebra of siblings) {
        const { singularValues } = spectrum(algebra, { kind: 'factored', rows, columns, terms }, () => 0)
        expect(largestDifference(singularValues, values)).toBeLessThan(1e-11 * values[0]!)
      }
    }
  })
})
