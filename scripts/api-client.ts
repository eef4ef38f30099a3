/** The few calls of the server’s REST API that scripts and browser tests make. Answers are parsed by the protocol’s schemas. */
import type { Readable } from 'node:stream'
import {
  createRunsAnswer,
  deleteRunAnswer,
  errorAnswer,
  type NodeView,
  nodesAnswer,
  parseOrThrow,
  RankscopeError,
  type RunCommand,
  type RunConfig,
  type RunView,
  runsAnswer,
  runViewSchema,
  type SweepView,
  sweepViewSchema,
} from '@rankscope/protocol'
import type { z } from 'zod'

export class ApiClient {
  readonly #url: string
  readonly #token: string

  constructor(url: string, token: string) {
    this.#url = url
    this.#token = token
  }

  async createRuns(configs: readonly RunConfig[]): Promise<RunView[]> {
    return (await this.#ask(createRunsAnswer, 'POST', '/api/runs', { configs })).runs
  }

  run(runId: string): Promise<RunView> {
    return this.#ask(runViewSchema, 'GET', `/api/runs/${runId}`)
  }

  async runs(): Promise<RunView[]> {
    const runs: RunView[] = []
    let next: string | null = ''
    while (next !== null) {
      const cursor: string = next === '' ? '' : `?cursor=${encodeURIComponent(next)}`
      const page = await this.#ask(runsAnswer, 'GET', `/api/runs${cursor}`)
      runs.push(...page.runs)
      next = page.next
    }
    return runs.reverse()
  }

  async nodes(): Promise<NodeView[]> {
    const nodes: NodeView[] = []
    let next: string | null = ''
    while (next !== null) {
      const cursor: string = next === '' ? '' : `?cursor=${encodeURIComponent(next)}`
      const page = await this.#ask(nodesAnswer, 'GET', `/api/nodes${cursor}`)
      nodes.push(...page.nodes)
      next = page.next
    }
    return nodes.reverse()
  }

  command(runId: string, command: RunCommand): Promise<RunView> {
    return this.#ask(runViewSchema, 'POST', `/api/runs/${runId}/commands`, { command })
  }

  /** Deletes a run, with its folders on the nodes. */
  async remove(runId: string): Promise<void> {
    await this.#ask(deleteRunAnswer, 'DELETE', `/api/runs/${runId}`)
  }

  /** The zip of a sweep, as it comes. */
  async sweepArchive(sweepId: string): Promise<AsyncIterable<Uint8Array>> {
    const response = await this.#send('GET', `/api/sweeps/${encodeURIComponent(sweepId)}/archive`)
    return response.body as unknown as AsyncIterable<Uint8Array>
  }

  async importSweep(zip: Readable): Promise<SweepView> {
    const response = await this.#send('POST', '/api/sweeps/import', {
      headers: { 'content-type': 'application/zip' },
      body: zip as unknown as ReadableStream,
      duplex: 'half',
    } as RequestInit)
    return parseOrThrow(sweepViewSchema, await response.json(), 'MESSAGE_INVALID', 'the answer to an import')
  }

  async #ask<S extends z.ZodType>(
    schema: S,
    method: string,
    path: string,
    body?: object,
  ): Promise<z.output<S>> {
    const response = await this.#send(
      method,
      path,
      body === undefined
        ? {}
        : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) },
    )
    return parseOrThrow(schema, await response.json(), 'MESSAGE_INVALID', `the answer to ${method} ${path}`)
  }

  /** The response to a request that was accepted; everything else is the server’s coded error. */
  async #send(method: string, path: string, init: RequestInit = {}): Promise<Response> {
    const response = await fetch(new URL(path, this.#url), {
      ...init,
      method,
      headers: { ...init.headers, authorization: `Bearer ${this.#token}` },
    })
    if (response.ok) return response
    throw RankscopeError.fromPayload(
      parseOrThrow(errorAnswer, await response.json(), 'MESSAGE_INVALID', `${method} ${path}`),
    )
  }
}
