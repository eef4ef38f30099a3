/** Programs that end with the one that started them, and on what nobody caught. */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { launchCommand } from './index.ts'

describe('a program', () => {
  let folder: string
  const entry = (name: string, text: string) => {
    const file = join(folder, name)
    writeFileSync(file, text)
    return pathToFileURL(file)
  }
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-parent-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  it('that was to end with its parent does so in order, even where that was killed', async () => {
    const child = entry(
      'child.ts',
      `import { leaveWithParent } from ${JSON.stringify(join(import.meta.dirname, 'parent.ts'))}
      import { writeFileSync } from 'node:fs'
      leaveWithParent(() => {
        console.log('nobody reads this any more')
        writeFileSync(${JSON.stringify(join(folder, 'left'))}, 'in order')
        process.exit(0)
      })
      process.send!(process.pid)
      setInterval(() => {}, 1000)`,
    )
    const parent = entry(
      'parent.ts',
      `import { spawn } from 'node:child_process'
      import { withParent } from ${JSON.stringify(join(import.meta.dirname, 'parent.ts'))}
      const [program, ...args] = ${JSON.stringify(launchCommand(child))}
      const child = spawn(program, args, { env: { ...process.env, ...withParent }, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
      child.on('message', (id) => console.log(String(id)))`,
    )
    const [program, ...args] = launchCommand(parent)
    const started = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const childId = await new Promise<number>((resolve) =>
      started.stdout.once('data', (part: Buffer) => resolve(Number(part.toString()))),
    )
    started.kill('SIGKILL')
    await expect.poll(() => isAlive(childId), { timeout: 20_000 }).toBe(false)
    expect(existsSync(join(folder, 'left')), 'it left in order').toBe(true)
  })

  it.each([
    ['a rejection that nobody handles', `void Promise.reject(new Error('forgotten'))`],
    ['an error in a callback', `setTimeout(() => { throw new Error('forgotten') })`],
  ])('ends with what it says and code 1 on %s', (_, fault) => {
    const file = entry(
      'fault.ts',
      `import { endOnFault } from ${JSON.stringify(join(import.meta.dirname, 'parent.ts'))}
      endOnFault((error) => console.error('told: ' + (error as Error).message))
      setInterval(() => {}, 1000)
      ${fault}`,
    )
    const [program, ...args] = launchCommand(file)
    const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' })
    expect({ status, stderr }).toEqual({ status: 1, stderr: 'told: forgotten\n' })
  })
})

function isAlive(processId: number): boolean {
  try {
    return process.kill(processId, 0)
  } catch {
    return false
  }
}
