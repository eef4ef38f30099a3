/**
 * `npm run bench -- fuzz`: throws seeded nonsense at a server on 127.0.0.1 and at the message format, and counts.
 *
 * Options: --seed 1, --requests 3000 (made from the server's OpenAPI), --packets 6000 (over sockets), --messages 200000
 * (each way against another implementation, and as many broken ones). Ends with 1 at the first crash, answer of 500 or
 * more, difference, or when memory grew by more than 512 MiB.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startServer } from '../server/src/start-server.ts'
import { fuzzMessages } from './fuzz/messages.ts'
import { fuzzRoutes } from './fuzz/routes.ts'
import { fuzzSockets, knownShapes } from './fuzz/sockets.ts'

const mostGrowthBytes = 512 * 2 ** 20

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      requests: { type: 'string', default: '3000' },
      packets: { type: 'string', default: '6000' },
      messages: { type: 'string', default: '200000' },
    },
    allowPositionals: true,
  })
  const seed = Number(values.seed)
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-fuzz-'))
  const server = await startServer({ port: 0, dataFolder: folder })
  try {
    const before = process.memoryUsage().rss
    let greatest = before
    const watch = setInterval(() => {
      greatest = Math.max(greatest, process.memoryUsage().rss)
    }, 100)
    const timed = async <T>(what: string, work: () => T | Promise<T>) => {
      const started = performance.now()
      const counts = await work()
      console.log(
        `${what}, ${((performance.now() - started) / 1000).toFixed(1)} s: ${JSON.stringify(counts) ?? 'refused'}`,
      )
    }
    await timed('routes', () => fuzzRoutes(server, seed, Number(values.requests)))
    await timed('sockets', () => fuzzSockets(server, seed, Number(values.packets)))
    await timed('known shapes', () => knownShapes(server))
    const health = await fetch(`${server.url}/api/health`, {
      headers: { authorization: `Bearer ${server.browserToken}` },
    })
    if (health.status !== 200) throw new Error(`the server is not well: ${await health.text()}`)
    clearInterval(watch)
    const grown = greatest - before
    console.log(`memory grew by at most ${(grown / 2 ** 20).toFixed(0)} MiB, sender included`)
    await timed('messages', () => fuzzMessages(seed, Number(values.messages)))
    if (grown > mostGrowthBytes) throw new Error('memory grew beyond its bound')
  } finally {
    await server.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

await main()
