import { describe, expect, it } from 'vitest'
import {
  formatAge,
  formatBytes,
  formatCount,
  formatDuration,
  formatExact,
  formatNumber,
  formatPercent,
  shortModule,
} from './format.ts'

describe('numbers', () => {
  it.each([
    [0.48273, '0.483'],
    [3.2e-4, '3.2e-4'],
    [0, '0'],
    [12_400.4, '12,400'],
    [1.2e7, '1.2e7'],
    [Number.NaN, 'NaN'],
    [Number.NEGATIVE_INFINITY, '−∞'],
    [null, '–'],
  ])('%s reads %s', (value, text) => expect(formatNumber(value)).toBe(text))

  it.each([
    [950, '950'],
    [4096, '4,096'],
    [41_900_000, '41.9 M'],
    [1_235_814_400, '1.24 B'],
    [999_999, '1 M'],
    [9999.6, '10 k'],
    [2.5e12, '2.5 T'],
    [Number.NaN, 'NaN'],
  ])('the count %s reads %s', (value, text) => expect(formatCount(value)).toBe(text))

  it.each([
    [0.4, '0.4 s'],
    [42, '42 s'],
    [185, '3 min 05 s'],
    [8040, '2 h 14 min'],
    [273_600, '3 d 4 h'],
  ])('%s seconds read %s', (value, text) => expect(formatDuration(value)).toBe(text))

  it('bytes take binary units and shares one decimal', () => {
    expect(formatBytes(3 * 2 ** 20)).toBe('3 MiB')
    expect(formatPercent(0.8125)).toBe('81.3 %')
    expect(formatBytes(2 ** 20 - 1)).toBe('1 MiB')
    expect(formatPercent(1)).toBe('100 %')
    expect(formatPercent(0)).toBe('0 %')
  })

  it('only all is 100 %, and only nothing is 0 %', () => {
    expect(formatPercent(0.99996)).toBe('> 99.9 %')
    expect(formatPercent(0.0001)).toBe('< 0.1 %')
  })

  it('a step is told in full', () => {
    expect(formatExact(54_580)).toBe('54,580')
    expect(formatExact(0.25)).toBe('0.25')
  })

  it('an age never runs into the future', () => {
    expect(formatAge(2000, 1000)).toBe('now')
    expect(formatAge(0, 300_000)).toBe('5 min ago')
  })

  it('a module of a layer is named by layer and projection', () => {
    expect(shortModule('model.layers.3.self_attn.q_proj')).toBe('3 · q_proj')
    expect(shortModule('lm_head')).toBe('lm_head')
  })
})
