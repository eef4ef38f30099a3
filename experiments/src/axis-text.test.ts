import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { axisText, parseAxisText } from './axis-text.ts'

describe('values of an axis, as written', () => {
  it.each([
    ['1e-5, 2e-5, 5e-5', [1e-5, 2e-5, 5e-5]],
    ['1e-5…1e-3 log 3', [1e-5, 1e-4, 1e-3]],
    ['1e-5..1e-3 log 5', [1e-5, 3.16e-5, 1e-4, 3.16e-4, 1e-3]],
    ['1…256 log 9', [1, 2, 4, 8, 16, 32, 64, 128, 256]],
    ['0...4', [0, 1, 2, 3, 4]],
    ['4…16 lin 4', [4, 8, 12, 16]],
    ['1 to 3', [1, 2, 3]],
    ['lora, hd-pissa', ['lora', 'hd-pissa']],
    ['true, false', [true, false]],
    ['none, 1', [null, 1]],
    ['1, 1, 2', [1, 2]],
    ['model.layers.0..', ['model.layers.0..']],
  ])('%s', (text, values) => {
    expect(parseAxisText(text)).toEqual(values)
  })

  it.each([
    ['', 'no value'],
    [' , ', 'no value'],
    ['1e-5…1e-3', 'not whole'],
    ['1e-5…1e-3 log', 'number of values'],
    ['1e-5…1e-3 log 1', 'number of values'],
    ['-1…1 log 3', 'above 0'],
    ['1…x log 3', 'two numbers'],
    ['1e5x', 'no number'],
    ['5…1', 'before it begins'],
    ['1…5000', 'more than'],
  ])('refuses %j: %s', (text, reason) => {
    expect(() => parseAxisText(text)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(reason) }),
    )
  })

  it('reads back what it writes', () => {
    const value = fc.oneof(
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.boolean(),
      fc.constant(null),
      fc.constantFrom('lora', 'cosine'),
    )
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 20 }), (values) => {
        const distinct = [
          ...new Map(values.map((each) => [JSON.stringify(each), each === 0 ? 0 : each])).values(),
        ]
        expect(parseAxisText(axisText(distinct))).toEqual(distinct)
      }),
      { seed: 7 },
    )
  })
})
