import { describe, expect, it } from 'vitest'
import { explainExit, kernelMemoryKills, RecentMemoryKills, type RunExit } from './run-exit.ts'

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

describe('what the kernel killed for want of memory', () => {
  it('counts only just before the end of a process, not for as long as it ran', () => {
    let count = 5
    const kills = new RecentMemoryKills(() => count)
    expect(kills.any).toBe(false)
    count += 1
    expect(kills.any).toBe(true)
    kills.turn()
    expect(kills.any, 'the end may be told a turn later').toBe(true)
    kills.turn()
    expect(kills.any, 'another process, some time ago').toBe(false)
  })

  const machine = { '/proc/vmstat': 'oom_kill 7\nnr_free_pages 1\n' }
  it.each([
    [
      'the control group’s, version 2',
      '0::/user.slice/a\n',
      '/sys/fs/cgroup/user.slice/a/memory.events',
      'oom 3\noom_kill 2\n',
      2,
    ],
    [
      'the control group’s, version 1',
      '4:memory:/a\n0::/\n',
      '/sys/fs/cgroup/memory/a/memory.oom_control',
      'under_oom 0\noom_kill 0\n',
      0,
    ],
    ['the machine’s where the group does not count', '0::/a\n', '/nowhere', '', 7],
    ['the machine’s in no group', '0::/\n', '/nowhere', '', 7],
  ])('is %s', (_, groups, file, content, kills) => {
    const files: Record<string, string> = { ...machine, '/proc/self/cgroup': groups, [file]: content }
    const read = (name: string) => {
      if (files[name] === undefined) throw new Error(name)
      return files[name]
    }
    expect(kernelMemoryKills(read)).toBe(kills)
  })
})
