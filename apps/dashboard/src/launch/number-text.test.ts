import { expect, it } from 'vitest'
import { numberText, parseNumber } from './number-text.ts'

it('reads scientific notation, emptiness as none, and hands nonsense on to validation', () => {
  expect(parseNumber('2e-5')).toBe(2e-5)
  expect(parseNumber(' ')).toBeNull()
  expect(parseNumber('two')).toBe('two')
})
it('what is shown reads back as the same number', () => {
  for (const value of [2e-5, 0.03, 128, 1e-8, 2 ** 32 - 1, 0])
    expect(parseNumber(numberText(value))).toBe(value)
})
