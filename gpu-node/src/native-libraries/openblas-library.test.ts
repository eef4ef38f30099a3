import { expect, test } from 'vitest'
import { firstUsable } from './openblas-library.ts'

test('a library that was removed since the kernels were built with it is passed over, with the reason', () => {
  const gone = '/nowhere/libopenblas.so.0'
  const bind = (path: string) => {
    if (path === gone) throw new Error('loaded')
    return path
  }
  expect(firstUsable([gone, 'by-name.so'], bind)).toBe('by-name.so')
  expect(firstUsable([gone], bind)).toEqual({ missing: `${gone} is not there` })
})
