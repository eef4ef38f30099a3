/** Puts the server together: store, books, scheduler, HTTP, sockets. Used by `main.ts`, the scripts and tests. */
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  type AwakeClock,
  awakeClock,
  browserNamespace,
  largestMessageBytes,
  nodeNamespace,
  wireParser,
} from '@rankscope/protocol'
import { Server } from 'socket.io'
import { Access, isLoopback, keptToken, newToken } from './access.ts'
import { type App, createApp } from './http/app.ts'
import { NodeBook } from './nodes/node-book.ts'
import { RunBook } from './runs/run-book.ts'
import { Scheduler, type SchedulerTimes } from './scheduler/shell.ts'
import { BrowserHub } from './sockets/browser-hub.ts'
import { NodeHub } from './sockets/node-hub.ts'
import { openSqliteStore } from './store/sqlite.ts'
import type { Store } from './store/store.ts'
import { SweepBook } from './sweeps/sweep-book.ts'
import { Views } from './views.ts'

export type ServerOptions = {
  /** 0 takes any free port. */
  port: number
  host: string
  /** Database and node token; created where missing. */
  dataFolder: string
  /** For browsers. null: none on a loopback address, a new one on any other. */
  token: string | null
  /** For nodes. null: the one kept in the data folder, made at the first start. */
  nodeToken: string | null
  dashboardFolder: string
  times: SchedulerTimes
  now: () => number
  /** For silence and waiting. */
  awake: AwakeClock
}

export type RunningServer = {
  /** For people: with the token, where one is needed. */
  address: string
  url: string
  port: number
  nodeToken: string
  browserToken: string | null
  app: App
  close(): Promise<void>
}

export const defaultOptions: Omit<ServerOptions, 'dataFolder'> = {
  port: 7777,
  host: '127.0.0.1',
  token: null,
  nodeToken: null,
  dashboardFolder: fileURLToPath(new URL('../../apps/dashboard/dist', import.meta.url)),
  times: {
    heartbeatEveryMs: 2000,
    lostAfterMs: 10_000,
    requeueAfterMs: 30_000,
    missingAfterMs: 5000,
    tickEveryMs: 1000,
  },
  now: Date.now,
  awake: awakeClock(() => performance.now()),
}

/** Resolves when connections are accepted. */
export async function startServer(
  given: Partial<ServerOptions> & Pick<ServerOptions, 'dataFolder'>,
): Promise<RunningServer> {
  const options: ServerOptions = { ...defaultOptions, ...given }
  const { now, awake, dataFolder, host } = options
  const browserToken = options.token ?? (isLoopback(host) ? null : newToken())
  const access = new Access(browserToken, options.nodeToken ?? keptToken(dataFolder, 'node-token'))

  const store = await openSqliteStore(join(dataFolder, 'rankscope.db'))
  const runs = await RunBook.open(store)
  const nodes = await NodeBook.open(store, { now, awake })
  const nodeHub = new NodeHub({ runs, nodes })
  const report = (error: unknown) => app.log.error(error)
  const scheduler = new Scheduler({ runs, nodes, links: nodeHub, times: options.times, now, awake, report })
  const views = new Views(runs, nodes, scheduler)
  const sweeps = await SweepBook.open({ store, runs, scheduler, report })
  const services = { store, runs, nodes, nodeHub, scheduler, views, sweeps, now, startedMs: now() }
  const app = await createApp(services, { access, dashboardFolder: options.dashboardFolder })

  const io = new Server(app.server, {
    parser: wireParser,
    perMessageDeflate: false,
    httpCompression: false,
    serveClient: false,
    maxHttpBufferSize: largestMessageBytes,
  })
  const browserHub = new BrowserHub({ runs, views, read: store.recordsAfter })
  runs.on('run', (run) => browserHub.runChanged(run.runId))
  nodes.on('node', (nodeId) => browserHub.nodeChanged(nodeId))
  scheduler.onWaiting = (runIds) => {
    for (const runId of runIds) browserHub.runChanged(runId)
  }
  nodeHub.listen(io.of(nodeNamespace), access, scheduler)
  browserHub.listen(io.of(browserNamespace), access)
  const stopPurging = keepPurging(store, runs, report)

  await app.listen({ port: options.port, host })
  scheduler.start()
  const { port } = app.server.address() as { port: number }
  const name = reachableName(host)
  const url = `http://${name.includes(':') ? `[${name}]` : name}:${port}`
  return {
    address: browserToken === null ? url : `${url}/?token=${encodeURIComponent(browserToken)}`,
    url,
    port,
    nodeToken: access.nodeToken,
    browserToken,
    app,
    close: async () => {
      browserHub.close()
      await io.close()
      await app.close()
      await scheduler.stop()
      await stopPurging()
      await store.close()
    },
  }
}

/** An address that others can use: of the wildcard, which means all of them, the first that leads outside. */
function reachableName(host: string): string {
  if (host !== '0.0.0.0' && host !== '::') return host
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1'
}

/** Removes the records of deleted runs bit by bit, also those left from before a restart. */
function keepPurging(store: Store, runs: RunBook, report: (error: unknown) => void): () => Promise<void> {
  let isStopped = false
  let work: Promise<void> | null = null
  const purge = async () => {
    while (!isStopped && (await store.purge()));
  }
  const start = () => {
    work ??= purge()
      .catch(report)
      .finally(() => {
        work = null
      })
  }
  runs.on('deleted', start)
  start()
  return async () => {
    isStopped = true
    await work
  }
}
