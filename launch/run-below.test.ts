/** A program that runs in place of another: it hears what that one is asked, and is waited for. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { launchCommand } from './index.ts'

describe('a program run in place of another', () => {
  let folder: string
  let above: string[]
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-below-'))
    const below = join(folder, 'below.ts')
    // Ends in order some time after it was asked to, or at once with a code of its own.
    writeFileSync(
      below,
      `if (process.argv[2] !== undefined) process.exit(Number(process.argv[2]))
      for (const signal of ['SIGTERM', 'SIGINT'])
        process.on(signal, () => setImmediate(() => { console.log('heard ' + signal); process.exit(7) }))
      setInterval(() => {}, 1000)
      console.log('ready')`,
    )
    const entry = join(folder, 'above.ts')
    writeFileSync(
      entry,
      `import { runBelow } from ${JSON.stringify(join(import.meta.dirname, 'run-below.ts'))}
      const command = ${JSON.stringify(launchCommand(pathToFileURL(below)))}
      console.log(JSON.stringify(await runBelow([...command, ...process.argv.slice(2)])))`,
    )
    above = launchCommand(pathToFileURL(entry))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  /** What is printed from start to end; `whenReady` hears the id of what was started. */
  async function printed(command: string[], whenReady: (id: number) => void) {
    const [program, ...args] = command
    const child = spawn(program!, args, {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, npm_lifecycle_event: 'bench' },
    })
    let text = ''
    for await (const chunk of child.stdout.setEncoding('utf8')) {
      const wasReady = text.includes('ready')
      text += chunk
      if (!wasReady && text.includes('ready')) whenReady(child.pid!)
    }
    return text
  }

  it('gives its exit code', async () => {
    expect(await printed([...above, '5'], () => undefined)).toBe('{"code":5,"asked":null}\n')
  })

  it.each(['SIGTERM', 'SIGINT'] as const)('hears %s and is waited for', async (signal) => {
    const text = await printed(above, (id) => process.kill(id, signal))
    expect(text).toBe(`ready\nheard ${signal}\n{"code":7,"asked":"${signal}"}\n`)
  })

  it('hears SIGTERM where npm’s shell died of it', async () => {
    const quoted = above.map((word) => `'${word}'`).join(' ')
    // Something behind it keeps the shell from making way for it.
    const text = await printed(['sh', '-c', `${quoted}; true`], (id) => process.kill(id, 'SIGKILL'))
    expect(text).toBe('ready\nheard SIGTERM\n{"code":7,"asked":"SIGTERM"}\n')
  })
})
