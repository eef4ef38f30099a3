/** What `npm start` and `npm run demo` share: options, start of the stack, and an orderly end on Ctrl-C. */
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { ParseArgsConfig } from 'node:util'
import { createForOwnerOnly } from '@rankscope/launch'
import { errorPayload, RankscopeError } from '@rankscope/protocol'
import { keptToken } from '../server/src/access.ts'
import {
  choosePort,
  claim,
  type ServerProcess,
  type StackProcess,
  startNodeProcess,
  startServerProcess,
} from './local-stack.ts'

export const stackOptions = {
  port: { type: 'string' },
  host: { type: 'string' },
  token: { type: 'string' },
  'base-path': { type: 'string' },
  state: { type: 'string' },
  slots: { type: 'string' },
  threads: { type: 'string' },
  models: { type: 'string', multiple: true },
  data: { type: 'string', multiple: true },
  help: { type: 'boolean', short: 'h' },
} as const satisfies ParseArgsConfig['options']

export const stackUsage = `  --port N        port of the dashboard                 [7777, or the next free one]
  --host ADDRESS  address to listen on                  [127.0.0.1]
  --token T       what browsers show (better: RANKSCOPE_TOKEN)   [the one of the last start, or made up]
  --base-path P   where the pages lie behind a proxy, e.g. /rankscope/
  --slots N       runs that the local node trains at a time
  --threads N     processor threads of each run
  --models DIR    folder of base models that runs may use; repeatable
  --data DIR      folder of data files that runs may use; repeatable
  --state DIR     database, checkpoints, logs           [.rankscope]
`

export interface StackValues {
  port?: string | undefined
  host?: string | undefined
  token?: string | undefined
  'base-path'?: string | undefined
  state?: string | undefined
  slots?: string | undefined
  threads?: string | undefined
  models?: string[] | undefined
  data?: string[] | undefined
}

export interface Stack {
  readonly server: ServerProcess
  /** The node: slower to start, since it measures its backends first. */
  readonly node: Promise<StackProcess>
  readonly logs: string
  /** Ends both processes and waits for them. */
  end(): Promise<void>
  /** Whether the end was asked for, so that a process that leaves is no surprise. */
  isEnding(): boolean
}

/** Resolves when the server is up. Ctrl-C ends both processes and then this one. */
export async function startStack(values: StackValues, usual: { slots: number | null }): Promise<Stack> {
  const state = resolve(values.state ?? '.rankscope')
  const host = values.host ?? '127.0.0.1'
  createForOwnerOnly()
  claim(state)
  const logs = join(state, 'logs')
  const started: StackProcess[] = []
  let ending = false
  const end = async () => {
    if (!ending) for (const process of started) process.signal('SIGTERM')
    ending = true
    await Promise.all(started.map(({ gone }) => gone))
  }
  // Ctrl-C in a terminal reaches the whole process group: then the two end by themselves.
  process.on('SIGINT', () => {
    ending ||= process.stdin.isTTY
    void end().then(() => process.exit(130))
  })
  process.on('SIGTERM', () => void end().then(() => process.exit(143)))
  // One that could not be started takes the other along.
  process.on('exit', () => {
    for (const child of started) child.signal('SIGTERM')
  })

  const port = await choosePort(values.port === undefined ? null : integer(values.port, '--port', 0), host)
  const serverState = join(state, 'server')
  mkdirSync(serverState, { recursive: true })
  const nodeToken = keptToken(serverState, 'node-token')
  const spawned = (child: StackProcess) => started.push(child)
  const serverStart = startServerProcess({
    state: serverState,
    host,
    port,
    nodeToken,
    token: values.token ?? null,
    basePath: values['base-path'] ?? null,
    log: join(logs, 'server.log'),
    spawned,
  })
  // Both at once where the address is known, since each takes seconds to load: the node waits for the server.
  const isKnown = port !== 0 && host === '127.0.0.1'
  const { url } = isKnown ? { url: `http://${host}:${port}` } : await serverStart
  const node = startNodeProcess({
    server: { url, nodeToken },
    state: join(state, 'node'),
    name: null,
    slots: values.slots === undefined ? usual.slots : integer(values.slots, '--slots', 1),
    threads: values.threads === undefined ? null : integer(values.threads, '--threads', 1),
    models: values.models ?? [],
    data: values.data ?? [],
    log: join(logs, 'node.log'),
    spawned,
  })
  // Whoever waits for the node learns of its failure; until then that of the server may come first.
  node.catch(() => undefined)
  const server = await serverStart
  return {
    server,
    node,
    logs,
    end,
    isEnding: () => ending,
  }
}

export function integer(text: string, option: string, least: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < least)
    throw new RankscopeError('CONFIG_INVALID', `${option} ${text}: a whole number from ${least} on is needed`)
  return value
}

/** Says what went wrong and what to try, and ends. */
export function fail(error: unknown): never {
  const { code, message, hint } = errorPayload(error)
  console.error(`${code}: ${message}${hint === null ? '' : `\n  hint: ${hint}`}`)
  process.exit(1)
}
