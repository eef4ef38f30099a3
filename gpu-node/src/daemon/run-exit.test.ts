import { describe, expect, it } from 'vitest'
import { explainExit, type RunExit } from './run-exit.ts'

const exit = (changes: Partial<RunExit>): RunExit => ({
  code: null,
  signal: null,
  lastLines: [],
  kernelKilledForMemory: false,
  ...changes,
})

describe('the reason of an exit', () => {
  it.each([
    [
      'a full JavaScript heap',
      exit({ signal: 'SIGABRT', lastLines: ['FATAL ERROR: JavaScript heap out of memory'] }),
    ],
    [
      'an array that could not be allocated',
      exit({ code: 1, lastLines: ['RangeError: Array buffer allocation failed'] }),
    ],
    [
      'a failed native allocation',
      exit({ signal: 'SIGABRT', lastLines: ['terminate called: std::bad_alloc'] }),
    ],
    ['the kernel’s memory killer', exit({ signal: 'SIGKILL', kernelKilledForMemory: true })],
  ])('is OUT_OF_MEMORY for %s', (_, ended) => {
    expect(explainExit(ended)).toMatchObject({
      code: 'OUT_OF_MEMORY',
      hint: expect.stringContaining('micro-batch'),
    })
  })

  it.each([
    ['a kill while memory was no problem', exit({ signal: 'SIGKILL' }), 'SIGKILL'],
    ['a segmentation fault', exit({ signal: 'SIGSEGV' }), 'SIGSEGV'],
    ['an exit code', exit({ code: 7, lastLines: ['first', 'second'] }), 'exit code 7:\nfirst\nsecond'],
    [
      'another process of the machine killed for memory',
      exit({ code: 1, kernelKilledForMemory: true }),
      'exit code 1',
    ],
  ])('is RUN_CRASHED for %s, and says it', (_, ended, said) => {
    expect(explainExit(ended)).toMatchObject({ code: 'RUN_CRASHED', message: expect.stringContaining(said) })
  })
})
