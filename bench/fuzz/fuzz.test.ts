/** The short form of `npm run bench -- fuzz`. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type RunningServer, startServer } from '../../server/src/start-server.ts'
import { fuzzMessages } from './messages.ts'
import { fuzzRoutes } from './routes.ts'
import { fuzzSockets, knownShapes } from './sockets.ts'

const folder = mkdtempSync(join(tmpdir(), 'rankscope-fuzz-'))
let server: RunningServer
beforeAll(async () => {
  server = await startServer({ port: 0, dataFolder: folder })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

it('no request near or beside what the routes take is answered by a 500 or without a coded error', async () => {
  const { statuses } = await fuzzRoutes(server, 7, 300)
  expect(statuses['200']).toBeGreaterThan(10)
  expect(statuses['201']).toBeGreaterThan(0)
  expect(statuses['400']).toBeGreaterThan(30)
})

it('no packet over a socket ends the server, or lets a stranger in', async () => {
  const { closed, answered, strangers } = await fuzzSockets(server, 7, 600)
  expect(closed).toBeGreaterThan(20)
  expect(answered).toBeGreaterThan(20)
  expect(strangers).toBe(0)
  await knownShapes(server)
  const headers = { authorization: `Bearer ${server.browserToken}` }
  expect((await fetch(`${server.url}/api/health`, { headers })).status).toBe(200)
})

it('messages read the same in another implementation, and broken ones are refused or kept', () => {
  expect(fuzzMessages(7, 3000).readBack).toBe(3000)
})
