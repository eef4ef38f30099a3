import { readFileSync } from 'node:fs'
import { errorCodes } from '@rankscope/protocol'
import { expect, it } from 'vitest'

const text = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8')

it('docs/protocol.md explains every error code', () => {
  for (const [code, sentence] of Object.entries(errorCodes))
    expect(text).toContain(`| \`${code}\` | ${sentence} |`)
})

it('docs/protocol.md numbers each rule once', () => {
  const numbers = [...text.matchAll(/^- \*\*P(\d+)\./gm)].map((match) => Number(match[1]))
  expect(numbers.length).toBeGreaterThan(20)
  expect(numbers).toEqual([...new Set(numbers)].sort((left, right) => left - right))
})
