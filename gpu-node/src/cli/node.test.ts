/** The daemon as a process of its own. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { launchCommand } from '@rankscope/launch'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FakeServer } from '../testing/daemon/fake-server.ts'

const entry = new URL('./node.ts', import.meta.url)

describe('npm run node', () => {
  let folder: string
  let server: FakeServer
  let child: ChildProcess | null = null
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-node-'))
    server = new FakeServer()
    await server.listen()
  })
  afterEach(async () => {
    child?.kill('SIGKILL')
    await server.close()
    rmSync(folder, { recursive: true, force: true })
  })

  it('without a run stays and comes back when the server ends its link, and leaves when it is told to', async () => {
    const [program, ...args] = launchCommand(
      entry,
      ...['--server', server.url, '--token', server.token, '--state', folder],
    )
    child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] })
    const exited = new Promise<number | null>((resolve) => child!.on('exit', resolve))
    await server.until(() => server.hellos.length === 1 && server.heartbeats.length > 0)
    // As it does with a node that it takes for silent: after a sleep of this machine, say.
    server.disconnect()
    const isBack = server.until(() => server.hellos.length === 2).then(() => 'back')
    expect(await Promise.race([isBack, exited])).toBe('back')
    expect(server.hellos[1]!.instanceId).toBe(server.hellos[0]!.instanceId)
    child.kill('SIGTERM')
    expect(await exited).toBe(0)
  })

  it('names an option that it does not know', () => {
    const [program, ...args] = launchCommand(entry, '--sever', 'x')
    const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' })
    expect({ status, stderr }).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^OPTION_INVALID: .*--sever/),
    })
  })
})
