/** The few calls of the server’s REST API that scripts and browser tests make. Answers are parsed by the protocol’s schemas. */
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

  async #ask<S extends z.ZodType>(
    schema: S,
    method: string,
    path: string,
    body?: object,
  ): Promise<z.output<S>> {
    const response = await fetch(new URL(path, this.#url), {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        authorization: `Bearer ${this.#token}`,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const answer: unknown = await response.json()
    if (!response.ok)
      throw RankscopeError.fromPayload(
        parseOrThrow(errorAnswer, answer, 'MESSAGE_INVALID', `${method} ${path}`),
      )
    return parseOrThrow(schema, answer, 'MESSAGE_INVALID', `the answer to ${method} ${path}`)
  }
}
