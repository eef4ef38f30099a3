import { comparison } from '@rankscope/protocol'
import { expect, it } from 'vitest'
import { configKey, diffConfigs } from './config-diff.ts'

const [lora, pissa] = comparison('g', ['lora', 'pissa'])

it('differences come first, settings that one run lacks among them', () => {
  const rows = diffConfigs([lora, pissa])
  const firstSame = rows.findIndex((row) => !row.differs)
  expect(rows.slice(firstSame).every((row) => !row.differs)).toBe(true)
  expect(rows.slice(0, firstSame).map((row) => row.path)).toEqual(
    expect.arrayContaining(['method.name', 'method.svd', 'method.dropout']),
  )
  expect(rows.find((row) => row.path === 'method.svd')?.values).toEqual([null, 'full'])
  expect(rows.some((row) => row.path === 'group')).toBe(false)
})

it('runs of one configuration with other seeds and names belong together', () => {
  expect(configKey({ ...lora!, seed: 7, name: 'again', tags: [] })).toBe(configKey(lora!))
  expect(configKey(pissa!)).not.toBe(configKey(lora!))
})
