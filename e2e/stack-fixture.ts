/**
 * The stack behind the browser tests: a real server and a real node, each a process of its own, on a free port and
 * with a state folder of their own; one stack for all tests of a worker.
 *
 *     import { expect, test } from './stack-fixture.ts'
 *     test('…', async ({ page, stack }) => { await page.goto(stack.address) })
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test as base } from '@playwright/test'
import { ApiClient } from '../scripts/api-client.ts'
import {
  type ServerProcess,
  type StackProcess,
  startNodeProcess,
  startServerProcess,
} from '../scripts/local-stack.ts'

export { expect } from '@playwright/test'

const nodeToken = 'token-of-the-browser-tests'

export class TestStack {
  readonly #state = mkdtempSync(join(tmpdir(), 'rankscope-e2e-'))
  #server!: ServerProcess
  #node!: StackProcess
  api!: ApiClient

  /** What a person would open. */
  get address(): string {
    return this.#server.address
  }

  /** Resolves when the node is online. */
  async start(): Promise<void> {
    await this.#startServer(0)
    await this.startNode()
  }

  async startNode(): Promise<void> {
    this.#node = await startNodeProcess({
      server: this.#server,
      state: join(this.#state, 'node'),
      name: 'test-node',
      slots: 3,
      threads: 1,
      models: [],
      data: [],
      log: join(this.#state, 'logs', 'node.log'),
    })
  }

  /** `SIGKILL` as a crash, `SIGTERM` as an update; resolves when the process is gone. */
  async stopServer(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.#server.signal(signal)
    await this.#server.gone
  }

  /** The same database on the same port. */
  async restartServer(): Promise<void> {
    await this.#startServer(Number(new URL(this.#server.url).port))
  }

  async stopNode(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.#node.signal(signal)
    await this.#node.gone
  }

  async end(): Promise<void> {
    await this.stopNode('SIGKILL')
    await this.stopServer('SIGKILL')
    rmSync(this.#state, { recursive: true, force: true })
  }

  async #startServer(port: number): Promise<void> {
    this.#server = await startServerProcess({
      state: join(this.#state, 'server'),
      host: '127.0.0.1',
      port,
      nodeToken,
      log: join(this.#state, 'logs', 'server.log'),
    })
    this.api = new ApiClient(this.#server.url, null)
  }
}

export const test = base.extend<Record<never, never>, { stack: TestStack }>({
  stack: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the names of needed fixtures from the pattern
    async ({}, use) => {
      const stack = new TestStack()
      await stack.start()
      await use(stack)
      await stack.end()
    },
    { scope: 'worker', timeout: 120_000 },
  ],
})
