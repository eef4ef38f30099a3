import { expect, it } from 'vitest'
import { toCsv } from './csv.ts'

it('quotes what would break a row, and keeps full precision', () => {
  expect(
    toCsv([
      ['run', 'loss'],
      ['a,"b"', 0.1 + 0.2],
    ]),
  ).toBe('run,loss\r\n"a,""b""",0.30000000000000004\r\n')
})
