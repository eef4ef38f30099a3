/** Puts the server together: store, books, scheduler, HTTP, sockets. Used by `main.ts`, the scripts and tests. */
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { lockFolder, openPrivateState } from '@rankscope/launch'
import { type AwakeClock, awakeClock, RankscopeError, systemError } from '@rankscope/protocol'
import { Access, keptToken } from './access.ts'
import { ExportBook } from './exports/export-book.ts'
import { type App, createApp } from './http/app.ts'
import { NodeBook } from './nodes/node-book.ts'
import { RunBook } from './runs/run-book.ts'
import { RunRemover } from './runs/run-remover.ts'
import { Scheduler, type SchedulerTimes } from './scheduler/shell.ts'
import { BrowserHub } from './sockets/browser-hub.ts'
import { openDoors } from './sockets/doors.ts'
import { NodeHub } from './sockets/node-hub.ts'
import { openSqliteStore } from './store/sqlite.ts'
import { StoreHealth } from './store/store-health.ts'
import { SweepBook } from './sweeps/sweep-book.ts'
import { Views } from './views.ts'

export type ServerOptions = {
  /** 0 takes any free port. */
  port: number
  host: string
  /** Where pages and API lie for browsers, e.g. `/rankscope/` behind a proxy: begins and ends with a slash. */
  basePath: string
  /** Database and tokens; created where missing, its owner’s alone. */
  dataFolder: string
  /** For browsers and scripts. null: the one kept in the data folder, made at the first start. */
  token: string | null
  /** For nodes, likewise. */
  nodeToken: string | null
  dashboardFolder: string
  /** For tests of a full disk: pages that the database may have; null leaves it to the disk. */
  maxPages: number | null
  times: SchedulerTimes
  now: () => number
  /** For silence and waiting. */
  awake: AwakeClock
}

export type RunningServer = {
  /** For people: with the token. */
  address: string
  url: string
  port: number
  nodeToken: string
  browserToken: string
  app: App
  close(): Promise<void>
}

export const defaultOptions: Omit<ServerOptions, 'dataFolder'> = {
  port: 7777,
  host: '127.0.0.1',
  basePath: '/',
  token: null,
  nodeToken: null,
  maxPages: null,
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

/** What an earlier release left readable for others. */
const stateFiles = ['rankscope.db', 'rankscope.db-wal', 'rankscope.db-shm', 'node-token', 'browser-token']

/** Resolves when connections are accepted. */
export async function startServer(
  given: Partial<ServerOptions> & Pick<ServerOptions, 'dataFolder'>,
): Promise<RunningServer> {
  const options: ServerOptions = { ...defaultOptions, ...given }
  const { dataFolder } = options
  const unlock = lockFolder(dataFolder, { name: 'server.lock', option: '--data' })
  const opened: (() => unknown)[] = [unlock]
  try {
    openPrivateState(dataFolder, stateFiles)
    return await start(options, opened, unlock)
  } catch (error) {
    for (const close of opened.reverse()) await close()
    throw error
  }
}

/** `opened`: how to close what was opened, in order. */
async function start(
  options: ServerOptions,
  opened: (() => unknown)[],
  unlock: () => void,
): Promise<RunningServer> {
  const { now, awake, dataFolder, host, basePath } = options
  const browserToken = keptToken(dataFolder, 'browser-token', options.token)
  const access = new Access(browserToken, keptToken(dataFolder, 'node-token', options.nodeToken), basePath)

  const report = (error: unknown) => app.log.error(error)
  const file = await openSqliteStore(join(dataFolder, 'rankscope.db'), { maxPages: options.maxPages })
  opened.push(() => file.close())
  const health = new StoreHealth(file, report)
  opened.push(() => health.close())
  const store = health.watched()
  const runs = await RunBook.open(store)
  const nodes = await NodeBook.open(store, { now, awake })
  const nodeHub = new NodeHub({ runs, nodes })
  const scheduler = new Scheduler({ runs, nodes, links: nodeHub, times: options.times, now, awake, report })
  const views = new Views(runs, nodes, scheduler)
  const sweeps = await SweepBook.open({ store, runs, scheduler, report })
  const remover = new RunRemover({ store, runs, nodes, hub: nodeHub, report })
  opened.push(() => remover.stop())
  const exports = new ExportBook({ runs, links: nodeHub, now })
  nodeHub.onExports = (told) => exports.told(told)
  const services = {
    store,
    runs,
    nodes,
    nodeHub,
    scheduler,
    views,
    sweeps,
    exports,
    health,
    remover,
    now,
    startedMs: now(),
  }
  const app = await createApp(services, { access, dashboardFolder: options.dashboardFolder })

  const doors = openDoors(app.server, access)
  const roomAgain = () => {
    nodes.saveAgain()
    remover.purge()
    scheduler.wake()
  }
  const browserHub = new BrowserHub({
    runs,
    views,
    read: store.recordsAfter,
    health: () => health.current(),
    report,
  })
  runs.on('run', (run) => browserHub.runChanged(run.runId))
  nodes.on('node', (nodeId) => browserHub.nodeChanged(nodeId))
  scheduler.onWaiting = (runIds) => browserHub.waitingChanged(runIds)
  health.onChange = () => {
    browserHub.healthChanged()
    if (health.current().status === 'ok') roomAgain()
  }
  nodeHub.listen(doors.nodes, scheduler)
  browserHub.listen(doors.browsers)

  await listen(app, options)
  scheduler.start()
  const { port } = app.server.address() as { port: number }
  const name = reachableName(host)
  const url = `http://${name.includes(':') ? `[${name}]` : name}:${port}`
  return {
    address: `${url}${basePath}?token=${encodeURIComponent(browserToken)}`,
    url,
    port,
    nodeToken: access.nodeToken,
    browserToken,
    app,
    close: async () => {
      browserHub.close()
      await doors.close()
      await app.close()
      await scheduler.stop()
      await remover.stop()
      health.close()
      await store.close()
      unlock()
    },
  }
}

/** ADDRESS_UNUSABLE names the port or address that is taken, forbidden or not of this machine. */
async function listen(app: App, { port, host }: ServerOptions): Promise<void> {
  try {
    await app.listen({ port, host })
  } catch (cause) {
    const plain = new RankscopeError('ADDRESS_UNUSABLE', `${host}:${port}: ${String(cause)}`, {
      hint: 'look at --host and --port',
      cause,
    })
    throw systemError(cause) ?? plain
  }
}

/** An address that others can use: of the wildcard, which means all of them, the first that leads outside. */
function reachableName(host: string): string {
  if (host !== '0.0.0.0' && host !== '::') return host
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1'
}
