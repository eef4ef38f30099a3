/** Kernels whose working memory cannot be had say so; none crashes, and all work again when there is memory. */
import { spawnSync } from 'node:child_process'
import { launchCommand } from '@rankscope/launch'
import { expect, it } from 'vitest'
import { findBuiltLibrary } from '../../../kernels/built-library.ts'

const outOfMemory = 2
const built = findBuiltLibrary()
const missing =
  'missing' in built
    ? `skipped: ${built.missing}`
    : process.platform === 'linux'
      ? ''
      : 'skipped: only Linux holds a process to a limit of its address space'

it.skipIf(missing)(
  `without memory for its panels or blocks a kernel fails with OUT_OF_MEMORY ${missing}`,
  () => {
    const [program, ...args] = launchCommand(
      new URL('../../testing/backends/short-of-memory.ts', import.meta.url),
    )
    const child = spawnSync(program, args, { encoding: 'utf8' })
    expect(child.signal, child.stderr).toBe(null)
    expect(child.status, child.stderr).toBe(0)
    const told = JSON.parse(child.stdout) as Record<
      string,
      { status: number; text: string; touched: boolean; later: number }
    >
    for (const name of ['gemm, B packed', 'gemm, A and B packed', 'mora']) {
      expect(told[name], name).toMatchObject({
        status: outOfMemory,
        later: 0,
        text: expect.stringMatching('memory'),
      })
    }
    // What malloc or an earlier kernel's block serves may succeed.
    for (const { status } of Object.values(told)) expect([0, outOfMemory]).toContain(status)
    // C is as it was, so that the product can be tried again.
    for (const name of ['gemm, B packed', 'gemm, A and B packed']) expect(told[name]!.touched).toBe(false)
    for (const { later } of Object.values(told)) expect(later).toBe(0)
  },
)
