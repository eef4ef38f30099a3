/**
 * A real server and a real node, each a process of its own, on a free port and with a state folder of their own, for
 * tests of the whole. RANKSCOPE_TEST_MODELS names folders of models beside the built-in ones.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { ApiClient } from '../scripts/api-client.ts'
import {
  type ServerProcess,
  type StackProcess,
  startNodeProcess,
  startServerProcess,
} from '../scripts/local-stack.ts'

const nodeToken = 'token-of-the-browser-tests'

export class TestStack {
  readonly #state = mkdtempSync(join(tmpdir(), 'rankscope-e2e-'))
  #server!: ServerProcess
  #node!: StackProcess
  api!: ApiClient

  /** Of the dashboard’s pages, for a browser that has the cookie. */
  get address(): string {
    return this.#server.url
  }

  /** What a person opens first: the printed address, with the token. */
  get printedAddress(): string {
    return this.#server.address
  }

  /** What a browser has after it opened the printed address. */
  async cookie(): Promise<{ name: string; value: string; url: string }> {
    const { headers } = await fetch(this.printedAddress, {
      redirect: 'manual',
      headers: { accept: 'text/html' },
    })
    const [name, value] = headers.get('set-cookie')!.split(';')[0]!.split('=')
    return { name: name!, value: value!, url: this.address }
  }

  /** For requests beside the API client. */
  get headers(): Record<string, string> {
    return { authorization: `Bearer ${this.#server.token}` }
  }

  /** A folder whose files the node reads. */
  get dataFolder(): string {
    return join(this.#state, 'data')
  }

  /** Resolves when the node is online. */
  async start(): Promise<void> {
    await this.#startServer(0)
    await this.startNode()
  }

  async startNode(): Promise<void> {
    mkdirSync(this.dataFolder, { recursive: true })
    process.env['RANKSCOPE_NVIDIA_SMI'] = this.#nvidiaSmi()
    this.#node = await startNodeProcess({
      server: this.#server,
      state: join(this.#state, 'node'),
      name: 'test-node',
      slots: 4,
      threads: 1,
      models: (process.env['RANKSCOPE_TEST_MODELS'] ?? '').split(delimiter).filter((folder) => folder !== ''),
      data: [this.dataFolder],
      log: join(this.#state, 'logs', 'node.log'),
    })
  }

  /** A stand-in for nvidia-smi with one GPU, whatever this machine has. */
  #nvidiaSmi(): string {
    const file = join(this.#state, 'nvidia-smi')
    const line = '0, NVIDIA H200, 97, 71500, 143771, 655.31, 63'
    writeFileSync(file, `#!/bin/sh\nwhile echo '${line}'; do sleep 2; done\n`, { mode: 0o755 })
    return file
  }

  /** `SIGKILL` as a crash, `SIGTERM` as an update; resolves when the process is gone. */
  async stopServer(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.#server.signal(signal)
    await this.#server.gone
  }

  /** The same database on the same port; with another token where one is given. */
  async restartServer(token: string | null = null): Promise<void> {
    await this.#startServer(Number(new URL(this.#server.url).port), token)
  }

  async stopNode(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.#node.signal(signal)
    await this.#node.gone
  }

  /** What the node’s daemon reported. */
  nodeLog(): string {
    return readFileSync(join(this.#state, 'logs', 'node.log'), 'utf8')
  }

  async end(): Promise<void> {
    await this.stopNode('SIGKILL')
    await this.stopServer('SIGKILL')
    rmSync(this.#state, { recursive: true, force: true })
  }

  async #startServer(port: number, token: string | null = null): Promise<void> {
    this.#server = await startServerProcess({
      state: join(this.#state, 'server'),
      host: '127.0.0.1',
      port,
      nodeToken,
      token,
      log: join(this.#state, 'logs', 'server.log'),
    })
    this.api = new ApiClient(this.#server.url, this.#server.token)
  }
}
