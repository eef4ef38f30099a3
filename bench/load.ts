/**
 * `npm run bench -- load`: a server of its own under steady ingest: points per second, its memory, and how long health takes to answer.
 *
 * Nodes deliver batches as daemons do, one at a time each; a browser follows every run. Options: --seconds 60,
 * --rate 50000 (points per second in all), --runs 4 (each on a node of its own), --scalars 8 (points per record).
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { launchCommand } from '@rankscope/launch'
import {
  browserNamespace,
  nodeNamespace,
  protocolVersion,
  type RunRecord,
  runConfigSchema,
  wireParser,
} from '@rankscope/protocol'
import { io, type Socket } from 'socket.io-client'

const { values: given } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    rate: { type: 'string', default: '50000' },
    runs: { type: 'string', default: '4' },
    scalars: { type: 'string', default: '8' },
  },
})
const seconds = Number(given.seconds)
const runs = Number(given.runs)
const scalars = Number(given.scalars)
/** Of one run. */
const recordsPerSecond = Number(given.rate) / scalars / runs
/** As a daemon’s. */
const batchRecords = 500
const everyMs = 100
const token = 'bench-token-for-browsers-0123456789'
const nodeToken = 'bench-token-for-nodes-0123456789'

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const folder = mkdtempSync(join(tmpdir(), 'rankscope-load-'))
const [program, ...args] = launchCommand(
  new URL('../server/src/main.ts', import.meta.url),
  ...['--port', '0', '--data', folder, '--token', token, '--node-token', nodeToken],
)
const server = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
try {
  await measure(await address())
} finally {
  server.kill()
  await new Promise((resolve) => server.once('exit', resolve))
  rmSync(folder, { recursive: true, force: true })
}

async function address(): Promise<string> {
  for await (const line of createInterface(server.stdout!)) {
    const found = /https?:\/\/[^/?\s]+/.exec(line)?.[0]
    if (found) return found
  }
  throw new Error('the server does not start')
}

function connect(url: string, namespace: string, bearer: string): Socket {
  return io(new URL(namespace, url).href, {
    parser: wireParser(namespace),
    transports: ['websocket'],
    forceNew: true,
    extraHeaders: { authorization: `Bearer ${bearer}` },
    auth: { protocolVersion },
  })
}

async function measure(url: string): Promise<void> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` }
  const assigned: { runId: string; node: Socket; nodeId: string }[] = []
  const sockets: Socket[] = []
  for (let index = 0; index < runs; index++) {
    const node = connect(url, nodeNamespace, nodeToken)
    const nodeId = `node-${index}`
    sockets.push(node)
    node.on('assign', ({ runId }, acknowledge) => {
      assigned.push({ runId, node, nodeId })
      acknowledge({ ok: true, value: null })
    })
    const welcome = await node.emitWithAck('hello', {
      nodeId,
      instanceId: nodeId,
      name: nodeId,
      softwareVersion: '0',
      hostname: 'bench',
      platform: 'bench',
      devices: [],
      slots: 1,
      threadsPerRun: 1,
      backends: [],
      selectedBackend: 'cpu',
      models: [],
      data: [],
      activeRuns: [],
    })
    if (!welcome.ok) throw new Error(welcome.error.message)
  }
  const config = runConfigSchema.parse({
    data: { source: { kind: 'task', task: 'arithmetic' } },
    method: { name: 'lora' },
  })
  const body = JSON.stringify({ configs: Array.from({ length: runs }, () => config) })
  await fetch(`${url}/api/runs`, { method: 'POST', headers, body })
  while (assigned.length < runs) await pause(10)
  const browser = connect(url, browserNamespace, token)
  sockets.push(browser)
  let shown = 0
  browser.on('records', ({ records }: { records: unknown[] }) => {
    shown += records.length
  })
  for (const { runId } of assigned) await browser.emitWithAck('subscribeRun', { runId, afterCursor: 0 })

  const health: number[] = []
  const memory: number[] = []
  let isOver = false
  const started = performance.now()
  const watching = watch(url, headers, () => isOver, health, memory)
  const sent = await Promise.all(assigned.map((one) => deliver(one, started)))
  const elapsed = (performance.now() - started) / 1000
  isOver = true
  await watching
  const records = sent.reduce((sum, count) => sum + count, 0)
  health.sort((left, right) => left - right)
  const at = (share: number) =>
    Number(health[Math.min(health.length - 1, Math.floor(share * health.length))]!.toFixed(1))
  console.table([
    {
      seconds: Number(elapsed.toFixed(1)),
      'points/s': Math.round((records * scalars) / elapsed),
      'seen live': `${Math.round((100 * shown) / records)} %`,
      'RSS most MiB': Math.max(...memory),
      'RSS last MiB': memory.at(-1),
      'health p50 ms': at(0.5),
      'p95 ms': at(0.95),
      'p99 ms': at(0.99),
      'max ms': at(1),
      'load average': loadavg()[0]!.toFixed(1),
    },
  ])
  for (const socket of sockets) socket.close()
}

/** One run’s records at its rate, one batch on its way at a time; how many the server acknowledged. */
async function deliver(
  { runId, node, nodeId }: { runId: string; node: Socket; nodeId: string },
  started: number,
): Promise<number> {
  let sent = 0
  for (;;) {
    const elapsed = (performance.now() - started) / 1000
    if (elapsed >= seconds) return sent
    const due = Math.min(batchRecords, Math.floor(elapsed * recordsPerSecond) - sent)
    if (due < Math.min(batchRecords, (recordsPerSecond * everyMs) / 1000)) {
      await pause(everyMs / 4)
      continue
    }
    const records = Array.from({ length: due }, (_, index): RunRecord => {
      const step = sent + index + 1
      const values = Object.fromEntries(
        Array.from({ length: scalars }, (_, name) => [`train/${name}`, Math.sin(step + name)]),
      )
      return { runId, attempt: 1, seq: step, timeMs: Date.now(), body: { kind: 'scalars', step, values } }
    })
    const answer = await node.emitWithAck('records', { nodeId, records })
    if (!answer.ok || answer.value.rejected.length > 0) throw new Error(JSON.stringify(answer))
    node.emit('heartbeat', beat(nodeId, runId), () => undefined)
    sent += due
  }
}

function beat(nodeId: string, runId: string): object {
  return {
    nodeId,
    timeMs: Date.now(),
    loadAverage: 0,
    freeMemoryBytes: 0,
    gpus: { readings: [], absent: 'none in a bench' },
    spooledRecords: 0,
    activeRuns: [{ runId, attempt: 1, residentMemoryBytes: null }],
  }
}

/** Asks for health, and looks at the server’s resident memory, ten times a second. */
async function watch(
  url: string,
  headers: Record<string, string>,
  isOver: () => boolean,
  health: number[],
  memory: number[],
): Promise<void> {
  while (!isOver()) {
    const asked = performance.now()
    const answer = await fetch(`${url}/api/health`, { headers })
    await answer.text()
    if (!answer.ok) throw new Error(`health: ${answer.status}`)
    health.push(performance.now() - asked)
    memory.push(residentMiB())
    await pause(everyMs)
  }
}

function residentMiB(): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1]
  return Math.round(Number(kibibytes) / 1024)
}
