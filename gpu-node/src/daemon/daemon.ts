/** The node daemon: state folder, spool, supervisor of runs and link to the server, put together. */
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { freemem, hostname, loadavg } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openPrivateState, readStateFile } from '@rankscope/launch'
import { idSchema, type RankscopeError, type Reach } from '@rankscope/protocol'
import { writeTextDurably } from '../durable-files.ts'
import { readConfig } from '../model/folder.ts'
import { planMemory } from '../run/memory.ts'
import { resolveModelPath } from '../run/paths.ts'
import { previewData } from '../run/preview.ts'
import type { Backends } from './backend-report.ts'
import { ExportJobs } from './export-jobs.ts'
import { watchGpus } from './gpu-telemetry.ts'
import { type Link, openLink } from './link.ts'
import { allowedFolder, findData, findModels, processorDevice, usableMemoryBytes } from './offerings.ts'
import { RunSupervisor } from './run-supervisor.ts'
import { openSpool } from './spool.ts'

export interface DaemonOptions {
  readonly url: string
  readonly token: string
  /** State folder: `node-id`, `spool.db`, `runs/<runId>/<attempt>/`, `cache/`. One daemon at a time. */
  readonly state: string
  readonly name: string
  readonly slots: number
  readonly threadsPerRun: number
  /** How ranks of other nodes reach this one; null: it shares no run. */
  readonly reach: Reach | null
  /** Folders whose models and data files runs may read, beside the built-in models. */
  readonly models: readonly string[]
  readonly data: readonly string[]
  /** Bytes in the spool above which runs wait. */
  readonly spoolBytes: number
  /** What runs may use here; found out while the daemon starts. */
  readonly backends: Promise<Backends>
  /** Checkpoints of a run that are kept at most, and what all checkpoints here may take; null: no such limit. */
  readonly keepCheckpoints: number | null
  readonly checkpointBytes: number | null
  readonly runEntry: URL
  /** How long to wait before a full disk is tried again. */
  readonly diskRetryMs: number
  readonly stopGraceMs: number
  readonly reconnectMs: { readonly first: number; readonly longest: number }
  refused(error: RankscopeError): void
  report(line: string): void
  /** The server knows the node now; called at each connection. */
  connected?(): void
}

export interface Daemon {
  readonly nodeId: string
  /** Asks runs for a checkpoint, waits up to `graceMs` for it, ends them, and leaves. */
  close(graceMs: number): Promise<void>
}

/** The models that come with Rankscope. */
export const builtInModels = fileURLToPath(new URL('../../../models', import.meta.url))

/** What an earlier release left readable for others. */
const stateFiles = ['node-id', 'spool.db', 'spool.db-wal', 'spool.db-shm', 'runs', 'cache']

export const defaultRunEntry = new URL('./run-entry.ts', import.meta.url)

export function startDaemon(options: DaemonOptions): Daemon {
  const { report } = options
  const roots = {
    models: [
      ...(existsSync(builtInModels) ? [builtInModels] : []),
      ...options.models.map((folder) => allowedFolder(folder, '--models')),
    ],
    data: options.data.map((folder) => allowedFolder(folder, '--data')),
    anywhere: false,
  }
  const state = resolve(options.state)
  const runsFolder = join(state, 'runs')
  openPrivateState(state, stateFiles)
  mkdirSync(runsFolder, { recursive: true })
  const spool = openSpool(join(state, 'spool.db'))
  const nodeId = ownNodeId(join(state, 'node-id'))

  const instanceId = randomUUID()
  const memoryBytes = usableMemoryBytes()
  const gpus = watchGpus()
  let link: Link | null = null
  const supervisor = new RunSupervisor({
    nodeId,
    tellGang: (message) => link?.tellGang(message),
    spool,
    runsFolder,
    cacheFolder: join(state, 'cache'),
    keepCheckpoints: options.keepCheckpoints,
    checkpointBytes: options.checkpointBytes,
    diskRetryMs: options.diskRetryMs,
    roots,
    slots: options.slots,
    threadsPerRun: options.threadsPerRun,
    memoryBytes,
    spoolBytes: options.spoolBytes,
    stopGraceMs: options.stopGraceMs,
    runEntry: options.runEntry,
    spooled: () => link?.notify(),
    report,
  })
  const exportJobs = new ExportJobs({
    roots,
    threads: options.threadsPerRun,
    ...supervisor.exportSurroundings(),
    changed: (job) => link?.tellExport(job),
    report,
  })
  link = openLink({
    url: options.url,
    token: options.token,
    nodeId,
    spool,
    reconnectMs: options.reconnectMs,
    hello: async () => ({
      nodeId,
      instanceId,
      name: options.name,
      softwareVersion: softwareVersion(),
      hostname: hostname(),
      platform: `${process.platform} ${process.arch}, Node ${process.versions.node}`,
      devices: [processorDevice(), ...(await gpus.devices())],
      slots: options.slots,
      threadsPerRun: options.threadsPerRun,
      reach: options.reach,
      ...(await options.backends),
      models: findModels(roots.models, report),
      data: findData(roots.data, report),
      activeRuns: supervisor.active().map(({ runId, attempt }) => ({ runId, attempt })),
    }),
    heartbeat: () => ({
      nodeId,
      timeMs: Date.now(),
      loadAverage: loadavg()[0] ?? 0,
      freeMemoryBytes: freemem(),
      gpus: gpus.readings(),
      spooledRecords: spool.records,
      activeRuns: supervisor.active(),
    }),
    welcomed: ({ abandon }) => {
      supervisor.abandon(abandon)
      options.connected?.()
    },
    assign: (assignment) => supervisor.assign(assignment),
    command: (command) => supervisor.command(command),
    gang: (message) => supervisor.hear(message),
    estimate: (config) =>
      planMemory(config, readConfig(resolveModelPath(config.model.path, roots)), memoryBytes),
    preview: (request) => previewData(request, roots),
    async deleteRun(runId) {
      await exportJobs.forget(runId)
      return supervisor.forget(runId)
    },
    startExport: (request) => exportJobs.start(request),
    cancelExport: (jobId) => exportJobs.cancel(jobId),
    exports: () => exportJobs.list(),
    delivered: () => supervisor.relieved(),
    delayed: (record) => supervisor.tellOfDelay(record),
    setAside: (record, error) => supervisor.setAside(record, error),
    refused: options.refused,
    report,
  })

  return {
    nodeId,
    async close(graceMs) {
      await exportJobs.close()
      await supervisor.shutdown(graceMs)
      link?.close()
      gpus.close()
      spool.close()
    },
  }
}

/** Made once, kept in the state folder: the server knows the node again after a restart. */
function ownNodeId(file: string): string {
  // One that is empty, or holds no id, is what a loss of power made of it.
  const known = idSchema.safeParse(readStateFile(file)?.trim())
  if (known.success) return known.data
  const nodeId = randomUUID()
  writeTextDurably(file, `${nodeId}\n`)
  return nodeId
}

function softwareVersion(): string {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
