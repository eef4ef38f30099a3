/** The server as a process: where its tokens stand, and where not. */
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { type ServerProcess, startServerProcess } from './local-stack.ts'

const folder = mkdtempSync(join(tmpdir(), 'rankscope-access-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const log = join(folder, 'logs', 'server.log')

const start = (state: string, token: string | null = null): Promise<ServerProcess> =>
  startServerProcess({ state, host: '127.0.0.1', port: 0, nodeToken: 'node-secret', token, log })
const end = async (server: ServerProcess) => {
  server.signal('SIGTERM')
  await server.gone
}
const health = (server: ServerProcess, token: string) =>
  fetch(`${server.url}/api/health`, { headers: { authorization: `Bearer ${token}` } })

it('tokens survive a restart, stand in no log, and what the server keeps is its owner’s alone', async () => {
  const state = join(folder, 'state')
  mkdirSync(state)
  chmodSync(state, 0o755)
  const first = await start(state)
  expect(first.address).toBe(`${first.url}/?token=${first.token}`)
  expect((await health(first, first.token)).status).toBe(200)
  expect((await health(first, 'node-secret')).status).toBe(401)
  await fetch(`${first.url}/api/nothing?token=${first.token}`)
  await end(first)
  const wide = readdirSync(state, { recursive: true })
    .map((name) => join(state, String(name)))
    .concat(state)
    .filter((path) => (statSync(path).mode & 0o077) !== 0)
  expect(wide).toEqual([])

  const second = await start(state)
  expect(second.token).toBe(first.token)
  await end(second)
  const third = await start(state, 'chosen-by-hand')
  expect(third.token).toBe('chosen-by-hand')
  expect((await health(third, first.token)).status).toBe(401)
  await end(third)
  const lines = readFileSync(log, 'utf8')
  expect(lines).toContain('Rankscope is ready: http://127.0.0.1')
  for (const secret of [first.token, 'chosen-by-hand', 'node-secret']) expect(lines).not.toContain(secret)
})

it.each(['', '\n'])('a token file that holds %j ends the start: it does not open the door', async (text) => {
  const state = mkdtempSync(join(folder, 'empty-'))
  writeFileSync(join(state, 'browser-token'), text)
  await expect(start(state)).rejects.toThrowError(/CONFIG_INVALID: .*browser-token holds no token/)
})
