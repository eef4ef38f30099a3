/** A server, and nodes on hosts of their own (hosts.ts) that share runs. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { LauncherName, RunView } from '@rankscope/protocol'
import { ApiClient } from '../scripts/api-client.ts'
import {
  type ServerProcess,
  type StackProcess,
  startNodeProcess,
  startServerProcess,
} from '../scripts/local-stack.ts'
import { Hosts } from './hosts.ts'

const nodeToken = 'token-of-the-cluster-tests'

export interface ClusterOptions {
  readonly launcher?: LauncherName
  readonly models?: readonly string[]
  /** Called when the hosts are there, before anything runs on them. */
  readonly prepare?: (hosts: Hosts) => Promise<void>
  /** What runs a node on a host, where that is not simply on it. */
  readonly inside?: (index: number) => string[]
}

export class Cluster {
  readonly hosts: Hosts
  readonly #folder = mkdtempSync(join(tmpdir(), 'rankscope-cluster-'))
  readonly #options: ClusterOptions
  readonly #slots: readonly number[]
  readonly #nodes: StackProcess[] = []
  #server!: ServerProcess
  api!: ApiClient

  /** A node with so many slots for each entry. */
  constructor(id: string, slots: readonly number[], options: ClusterOptions = {}) {
    this.hosts = new Hosts(id, slots.length)
    this.#slots = slots
    this.#options = options
  }

  /** Of the nodes, by host. */
  get names(): string[] {
    return this.#slots.map((_, index) => `host${index}`)
  }

  get url(): string {
    return this.#server.url
  }

  get headers(): Record<string, string> {
    return { authorization: `Bearer ${this.#server.token}`, 'content-type': 'application/json' }
  }

  async start(): Promise<void> {
    this.hosts.make()
    await this.#options.prepare?.(this.hosts)
    this.#server = await startServerProcess({
      state: join(this.#folder, 'server'),
      host: this.hosts.serverAddress,
      port: 0,
      nodeToken,
      log: join(this.#folder, 'server.log'),
    })
    this.api = new ApiClient(this.#server.url, this.#server.token)
    await Promise.all(this.#slots.map((_, index) => this.startNode(index)))
  }

  async startNode(index: number): Promise<void> {
    const { launcher = 'agent', models = [], inside } = this.#options
    this.#nodes[index] = await startNodeProcess({
      server: this.#server,
      state: this.#state(index),
      name: this.names[index]!,
      slots: this.#slots[index]!,
      threads: 1,
      models,
      data: [],
      reach: { launcher, ...(launcher !== 'srun' && { address: this.hosts.address(index) }) },
      inside: inside?.(index) ?? this.hosts.inside(index),
      log: this.#log(index),
    })
  }

  /** `daemon`: it alone; `host`: everything there at once. Resolves when the daemon is gone. */
  async killNode(index: number, what: 'daemon' | 'host'): Promise<void> {
    if (what === 'host') this.hosts.kill(index)
    else this.#nodes[index]!.signal('SIGKILL')
    await this.#nodes[index]!.gone
  }

  /** Everything that a node keeps of a run’s attempt. */
  runFolder(index: number, run: RunView): string {
    return join(this.#state(index), 'runs', run.runId, String(run.attempt))
  }

  async until(runId: string, wanted: (run: RunView) => boolean): Promise<RunView> {
    for (;;) {
      const run = await this.api.run(runId)
      if (wanted(run)) return run
      if (run.state === 'failed') throw new Error(`${run.name}: ${run.error?.code} ${run.error?.message}`)
      await delay(50)
    }
  }

  /** Processes of a host beside its daemon. */
  leftOn(index: number): string[] {
    return this.hosts.processIds(index).flatMap((processId) => {
      try {
        const command = readFileSync(`/proc/${processId}/cmdline`, 'utf8').replaceAll('\0', ' ')
        return processId === this.#nodes[index]?.processId || command === ''
          ? []
          : [`${processId} ${command}`]
      } catch {
        return []
      }
    })
  }

  async end(): Promise<void> {
    this.hosts.remove()
    // What starts a node may itself be on no host.
    for (const node of this.#nodes) node?.signal('SIGKILL')
    this.#server?.signal('SIGKILL')
    await this.#server?.gone
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #state(index: number): string {
    return join(this.#folder, `host${index}`)
  }

  #log(index: number): string {
    return join(this.#folder, 'logs', `host${index}.log`)
  }
}
