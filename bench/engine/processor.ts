/** Which processor this is. Virtual machines often hide its name, so family, model, stepping, vector units and caches are told too. */
import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'

const units: readonly [flag: string, name: string][] = [
  ['amx_tile', 'AMX'],
  ['avx512f', 'AVX-512'],
  ['avx2', 'AVX2'],
  ['asimd', 'Neon'],
]

export function processorName(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor'
  let text: string
  try {
    text = readFileSync('/proc/cpuinfo', 'utf8')
  } catch {
    return model
  }
  return describeProcessor(model, text)
}

/** `text`: as in /proc/cpuinfo. Pure. */
export function describeProcessor(model: string, text: string): string {
  const field = (name: string) => new RegExp(`^${name}\\s*:\\s*(.+)$`, 'm').exec(text)?.[1]?.trim()
  const numbers = ['cpu family', 'model', 'stepping'].map((name) => field(name) ?? '?')
  const flags = new Set((field('flags') ?? field('Features') ?? '').split(' '))
  const known = units.filter(([flag]) => flags.has(flag)).map(([, name]) => name)
  const details = [
    numbers.every((number) => number === '?')
      ? []
      : [`family ${numbers[0]}, model ${numbers[1]}, stepping ${numbers[2]}`],
    known.length === 0 ? [] : [known.slice(0, 2).join(' and ')],
    field('cache size') ? [`${field('cache size')} of cache`] : [],
  ].flat()
  return details.length === 0 ? model : `${model} (${details.join('; ')})`
}
