/**
 * `npm run bench -- ingest`: records per second into the store, and the time from a node to a browser.
 *
 * Options: --runs 4 (live runs), --rate 20 (records per second of each), --seconds 5.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  type Ack,
  browserNamespace,
  type NodeHello,
  nodeNamespace,
  protocolVersion,
  RankscopeError,
  type RecordBody,
  type RunRecord,
  runConfigSchema,
  type StoredRecord,
  toFloat64Bytes,
  type Welcome,
  wireParser,
} from '@rankscope/protocol'
import { io, type Socket } from 'socket.io-client'
import { startServer } from '../server/src/start-server.ts'
import { openSqliteStore } from '../server/src/store/sqlite.ts'

const config = runConfigSchema.parse({
  data: { source: { kind: 'task', task: 'arithmetic' } },
  method: { name: 'lora' },
})

function record(runId: string, seq: number, timeMs: number, body: RecordBody): RunRecord {
  return { runId, attempt: 1, seq, timeMs, body }
}

function scalars(step: number, names: number): RecordBody {
  const values = Object.fromEntries(
    Array.from({ length: names }, (_, index) => [`train/${index}`, Math.sin(step + index)]),
  )
  return { kind: 'scalars', step, values }
}

function spectrum(step: number, count: number): RecordBody {
  return {
    kind: 'spectrum',
    step,
    module: 'model.layers.0.self_attn.q_proj',
    part: 'total',
    rows: count,
    columns: count,
    singularValues: toFloat64Bytes(Array.from({ length: count }, (_, index) => 1 / (1 + index))),
    frobenius: 1,
    measures: {
      numericalRank: 1,
      numericalRankThreshold: 1,
      numericalRankFloat64: 1,
      energyRank90: 1,
      energyRank99: 1,
      effectiveRank: 1,
      spectralEntropyRank: 1,
      stableRank: 1,
      participationRatio: 1,
    },
    elapsedMs: 1,
    final: false,
  }
}

/** Append and read straight at the store. */
async function benchStore(folder: string): Promise<void> {
  const store = await openSqliteStore(join(folder, 'store.db'))
  const cases = [
    {
      name: '1 scalar, batches of 500',
      records: 50_000,
      batch: 500,
      body: (step: number) => scalars(step, 1),
    },
    {
      name: '8 scalars, batches of 100',
      records: 10_000,
      batch: 100,
      body: (step: number) => scalars(step, 8),
    },
    { name: '8 scalars, one by one', records: 1000, batch: 1, body: (step: number) => scalars(step, 8) },
    {
      name: 'spectra of 2048, batches of 20',
      records: 500,
      batch: 20,
      body: (step: number) => spectrum(step, 2048),
    },
  ]
  const rows: Record<string, unknown>[] = []
  for (const [index, { name, records, batch, body }] of cases.entries()) {
    const runId = `run-${index}`
    const [run] = await store.createRuns([{ runId, name: runId, config, createdMs: 0 }])
    await store.updateRun(runId, run!.revision, { state: 'assigned', nodeId: 'node' })
    const started = performance.now()
    for (let first = 1; first <= records; first += batch) {
      const some = Array.from({ length: batch }, (_, offset) =>
        record(runId, first + offset, 0, body(first + offset)),
      )
      await store.append('node', some)
    }
    const seconds = (performance.now() - started) / 1000
    rows.push({
      'into the store': name,
      'records/s': Math.round(records / seconds),
      'ms per batch': Number(((seconds * 1000) / (records / batch)).toFixed(2)),
    })
  }
  console.table(rows)
  const started = performance.now()
  await store.series('run-0', { names: null, points: 1000, fromStep: null, toStep: null })
  console.log(`a chart of 50,000 points, 1000 asked for: ${(performance.now() - started).toFixed(1)} ms`)
  await store.close()
}

/** From the moment at which a node emits a record to that at which a browser has it, over real sockets. */
async function benchLatency(folder: string, runs: number, seconds: number, rate: number): Promise<void> {
  const server = await startServer({ port: 0, dataFolder: join(folder, 'server') })
  const connect = (namespace: string, token: string): Socket =>
    io(new URL(namespace, server.url).href, {
      parser: wireParser(namespace),
      transports: ['websocket'],
      forceNew: true,
      extraHeaders: { authorization: `Bearer ${token}` },
      auth: { protocolVersion },
    })
  const node = connect(nodeNamespace, server.nodeToken)
  const browser = connect(browserNamespace, server.browserToken)
  const assigned: string[] = []
  node.on('assign', ({ runId }, acknowledge) => {
    assigned.push(runId)
    acknowledge({ ok: true, value: null })
  })
  const welcome: Ack<Welcome> = await node.emitWithAck('hello', {
    nodeId: 'node',
    instanceId: 'bench',
    name: 'bench',
    softwareVersion: '0',
    hostname: 'bench',
    platform: 'bench',
    devices: [],
    slots: runs,
    threadsPerRun: 1,
    reach: null,
    backends: [],
    selectedBackend: 'cpu',
    models: [],
    data: [],
    activeRuns: [],
  } satisfies NodeHello)
  if (!welcome.ok) throw RankscopeError.fromPayload(welcome.error)
  const created = await fetch(`${server.url}/api/runs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${server.browserToken}` },
    body: JSON.stringify({ configs: Array.from({ length: runs }, () => config) }),
  })
  if (!created.ok) throw new Error(await created.text())
  while (assigned.length < runs) await new Promise((resolve) => setTimeout(resolve, 10))
  for (const runId of assigned) await browser.emitWithAck('subscribeRun', { runId, afterCursor: 0 })

  const emitted = new Map<string, number>()
  const latencies: number[] = []
  const key = (item: RunRecord | StoredRecord) => `${item.runId}/${item.seq}`
  browser.on('records', ({ records }: { records: StoredRecord[] }) => {
    for (const item of records) latencies.push(performance.now() - emitted.get(key(item))!)
  })
  const steps = seconds * rate
  for (let step = 1; step <= steps; step++) {
    const records = assigned.map((runId) => record(runId, step, Date.now(), scalars(step, 8)))
    for (const item of records) emitted.set(key(item), performance.now())
    node.emit('records', { nodeId: 'node', records }, () => undefined)
    await new Promise((resolve) => setTimeout(resolve, 1000 / rate))
  }
  while (latencies.length < runs * steps) await new Promise((resolve) => setTimeout(resolve, 10))
  latencies.sort((left, right) => left - right)
  const percentile = (share: number) =>
    Number(latencies[Math.min(latencies.length - 1, Math.floor(share * latencies.length))]!.toFixed(1))
  console.table([
    {
      'live runs': runs,
      'records/s': runs * rate,
      'p50 ms': percentile(0.5),
      'p95 ms': percentile(0.95),
      'p99 ms': percentile(0.99),
      'max ms': percentile(1),
    },
  ])
  node.close()
  browser.close()
  await server.close()
}

const { values } = parseArgs({
  options: { runs: { type: 'string' }, seconds: { type: 'string' }, rate: { type: 'string' } },
  allowPositionals: true,
})
const folder = mkdtempSync(join(tmpdir(), 'rankscope-bench-'))
try {
  await benchStore(folder)
  await benchLatency(folder, Number(values.runs ?? 4), Number(values.seconds ?? 5), Number(values.rate ?? 20))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
