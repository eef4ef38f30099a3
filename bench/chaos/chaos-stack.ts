/** A server, a node whose link leads through a relay, and their run processes: real processes that can be hurt. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ApiClient } from '../../scripts/api-client.ts'
import {
  type ServerProcess,
  type StackProcess,
  startNodeProcess,
  startServerProcess,
} from '../../scripts/local-stack.ts'
import { LinkProxy } from './link-proxy.ts'
import { writeToyModel } from './toy-model.ts'

const nodeToken = 'token-of-the-chaos-script'

export class ChaosStack {
  readonly #folder = mkdtempSync(join(tmpdir(), 'rankscope-chaos-'))
  readonly #modelsFolder = join(this.#folder, 'models')
  readonly #slots: number
  #server!: ServerProcess
  #node!: StackProcess
  proxy!: LinkProxy
  api!: ApiClient

  constructor(slots: number) {
    this.#slots = slots
  }

  async start(): Promise<void> {
    await writeToyModel(join(this.#modelsFolder, 'toy'))
    await this.startServer()
    this.proxy = await LinkProxy.listen(() => Number(new URL(this.#server.url).port))
    await this.startNode()
  }

  /** On the port that it had before. */
  async startServer(): Promise<void> {
    const port = this.#server ? Number(new URL(this.#server.url).port) : 0
    this.#server = await startServerProcess({
      state: join(this.#folder, 'server'),
      host: '127.0.0.1',
      port,
      nodeToken,
      log: join(this.#folder, 'server.log'),
    })
    this.api = new ApiClient(this.#server.url, this.browserToken)
  }

  async startNode(): Promise<void> {
    mkdirSync(this.runsFolder, { recursive: true })
    this.#node = await startNodeProcess({
      server: { url: this.proxy.url, nodeToken },
      state: join(this.#folder, 'node'),
      name: 'chaos',
      slots: this.#slots,
      threads: 1,
      models: [this.#modelsFolder],
      data: [],
      log: join(this.#folder, 'node.log'),
    })
  }

  get url(): string {
    return this.#server.url
  }

  /** Kept over restarts of the server. */
  get browserToken(): string {
    return new URL(this.#server.address).searchParams.get('token') ?? ''
  }

  get runsFolder(): string {
    return join(this.#folder, 'node', 'runs')
  }

  async killServer(): Promise<void> {
    this.#server.signal('SIGKILL')
    await this.#server.gone
  }

  async killNode(): Promise<void> {
    this.#node.signal('SIGKILL')
    await this.#node.gone
  }

  get serverProcess(): number {
    return this.#server.processId
  }

  get nodeProcess(): number {
    return this.#node.processId
  }

  /** Run processes that are alive, by what the daemon reported of them. */
  runProcesses(): number[] {
    const started = this.nodeLog().matchAll(/started \(attempt \d+, process (\d+)\)/g)
    return [...started].map((match) => Number(match[1])).filter(isRunProcess)
  }

  nodeLog(): string {
    return readFileSync(join(this.#folder, 'node.log'), 'utf8')
  }

  serverLog(): string {
    return readFileSync(join(this.#folder, 'server.log'), 'utf8')
  }

  /** Everything below the folders of runs, as paths. */
  leftovers(): string[] {
    return existsSync(this.runsFolder) ? readdirSync(this.runsFolder, { recursive: true }).map(String) : []
  }

  async end(): Promise<void> {
    await this.killNode()
    await this.killServer()
    this.proxy.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** The number may belong to another process by now. */
function isRunProcess(processId: number): boolean {
  try {
    return readFileSync(`/proc/${processId}/cmdline`, 'utf8').includes('run-entry.ts')
  } catch {
    return false
  }
}
