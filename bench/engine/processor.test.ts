import { describe, expect, it } from 'vitest'
import { describeProcessor } from './processor.ts'

describe('describeProcessor', () => {
  it('tells what a hidden name does not', () => {
    const text = [
      'vendor_id\t: GenuineIntel',
      'cpu family\t: 6',
      'model\t\t: 167',
      'model name\t: Intel(R) Xeon(R) Processor',
      'stepping\t: 1',
      'cache size\t: 491520 KB',
      'flags\t\t: fpu avx avx2 avx512f amx_tile',
    ].join('\n')
    expect(describeProcessor('Intel(R) Xeon(R) Processor', text)).toBe(
      'Intel(R) Xeon(R) Processor (family 6, model 167, stepping 1; AMX and AVX-512; 491520 KB of cache)',
    )
  })

  it('is the name alone where nothing else is known', () => {
    expect(describeProcessor('Apple M1', '')).toBe('Apple M1')
  })
})
