import { describe, expect, it } from 'vitest'
import {
  formatAge,
  formatBytes,
  formatCount,
  formatDuration,
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
    expect(formatPercent(1)).toBe('100 %')
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
