/** A server and one GPU node on this machine, each a process of its own: for `npm start`, the demo and the browser tests. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { launchCommand, openPrivateState, withParent } from '@rankscope/launch'
import { RankscopeError, type Reach } from '@rankscope/protocol'
import { takeProcessLock } from './process-lock.mjs'

const root = resolve(import.meta.dirname, '..')

export interface StackProcess {
  readonly processId: number
  /** Resolves when the process is gone, with its exit code or the signal’s name. */
  readonly gone: Promise<string>
  signal(signal: NodeJS.Signals): void
}

export interface ServerProcess extends StackProcess {
  /** For people: with the token. */
  readonly address: string
  /** For programs, without it. */
  readonly url: string
  /** For programs: what `Authorization: Bearer` takes. */
  readonly token: string
  readonly nodeToken: string
}

export interface ServerOptions {
  readonly state: string
  readonly host: string
  readonly port: number
  readonly nodeToken: string
  /** For browsers. null: the one of the last start, or a new one. */
  readonly token?: string | null
  readonly basePath?: string | null
  readonly log: string
  /** Called at once, while the process is still starting. */
  readonly spawned?: (process: StackProcess) => void
}

export interface NodeOptions {
  readonly server: Pick<ServerProcess, 'url' | 'nodeToken'>
  readonly state: string
  readonly name: string | null
  readonly slots: number | null
  readonly threads: number | null
  readonly models: readonly string[]
  readonly data: readonly string[]
  /** How ranks of other nodes reach it; none where left out. */
  readonly reach?: Partial<Reach>
  /** A command that runs what follows it elsewhere, e.g. in a network namespace. */
  readonly inside?: readonly string[]
  readonly log: string
  readonly spawned?: (process: StackProcess) => void
}

/** Resolves when the server accepts connections. Throws INTERNAL with its last lines where it ends instead. */
export async function startServerProcess(options: ServerOptions): Promise<ServerProcess> {
  const { process: child, readyLine } = await start({
    entry: 'server/src/main.ts',
    args: [
      ...['--port', String(options.port), '--host', options.host, '--data', options.state],
      ...(options.basePath == null ? [] : ['--base-path', options.basePath]),
    ],
    // Not on the command line, where every user of the machine could read them.
    environment: {
      RANKSCOPE_NODE_TOKEN: options.nodeToken,
      ...(options.token == null ? {} : { RANKSCOPE_TOKEN: options.token }),
    },
    ready: /^Rankscope is ready: (.+)$/,
    log: options.log,
    title: 'the server',
    spawned: options.spawned,
  })
  const address = readyLine[1]!
  const { origin, searchParams } = new URL(address)
  return { ...child, address, url: origin, token: searchParams.get('token')!, nodeToken: options.nodeToken }
}

/** Resolves when the server has welcomed the node. */
export async function startNodeProcess(options: NodeOptions): Promise<StackProcess> {
  const option = (name: string, value: string | number | null) =>
    value === null ? [] : [name, String(value)]
  const { process: child } = await start({
    entry: 'gpu-node/src/cli/node.ts',
    args: [
      ...['--server', options.server.url, '--state', options.state],
      ...option('--name', options.name),
      ...option('--slots', options.slots),
      ...option('--threads', options.threads),
      ...option('--launcher', options.reach?.launcher ?? null),
      ...option('--address', options.reach?.address ?? null),
      ...options.models.flatMap((folder) => ['--models', folder]),
      ...options.data.flatMap((folder) => ['--data', folder]),
    ],
    environment: { RANKSCOPE_TOKEN: options.server.nodeToken },
    ready: / connected to /,
    log: options.log,
    title: 'the node',
    inside: options.inside ?? [],
    spawned: options.spawned,
  })
  return child
}

interface Start {
  readonly entry: string
  readonly args: readonly string[]
  readonly environment: Record<string, string>
  readonly ready: RegExp
  /** File to which stdout and stderr are appended. */
  readonly log: string
  readonly title: string
  readonly inside?: readonly string[]
  readonly spawned: ((process: StackProcess) => void) | undefined
}

function start(order: Start): Promise<{ process: StackProcess; readyLine: RegExpExecArray }> {
  mkdirSync(join(order.log, '..'), { recursive: true })
  const log = createWriteStream(order.log, { flags: 'a', mode: 0o600 })
  const command = launchCommand(pathToFileURL(join(root, order.entry)), ...order.args)
  const [program, ...args] = [...(order.inside ?? []), ...command] as [string, ...string[]]
  const child = spawn(program, args, {
    cwd: root,
    env: { ...process.env, ...withParent, ...order.environment },
    // Over the channel it notices when this process is gone (launch/parent.ts).
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  const gone = new Promise<string>((resolveGone) => {
    child.on('close', (code, signal) => {
      log.end()
      resolveGone(signal ?? `exit code ${code}`)
    })
  })
  const stackProcess: StackProcess = {
    processId: child.pid!,
    gone,
    signal: (signal) => {
      child.kill(signal)
    },
  }
  order.spawned?.(stackProcess)
  return new Promise((resolveReady, reject) => {
    const lastLines: string[] = []
    eachLine(child, (line) => {
      log.write(`${withoutToken(line)}\n`)
      lastLines.push(line)
      if (lastLines.length > 20) lastLines.shift()
      const readyLine = order.ready.exec(line)
      if (readyLine !== null) resolveReady({ process: stackProcess, readyLine })
    })
    void gone.then((how) => {
      const message = `${order.title} ended (${how}) before it was ready:\n${lastLines.join('\n')}`
      reject(new RankscopeError('INTERNAL', message, { hint: `its log is ${order.log}` }))
    })
  })
}

function eachLine(child: ChildProcess, take: (line: string) => void): void {
  createInterface({ input: child.stdout! }).on('line', take)
  createInterface({ input: child.stderr! }).on('line', take)
}

/** Logs are sent to others, and stay. */
function withoutToken(line: string): string {
  return line.replace(/([?&]token=)[^&\s]+/g, '$1…')
}

/** The wanted port, which must be free, or the first free one from 7777 on where none is named. */
export async function choosePort(wanted: number | null, host: string): Promise<number> {
  if (wanted !== null) {
    if (wanted === 0 || (await isFree(wanted, host))) return wanted
    throw new RankscopeError('ADDRESS_UNUSABLE', `${host}:${wanted} is taken, or cannot be listened on`, {
      hint: 'name another with --port, or leave it out to have a free one chosen',
    })
  }
  for (let port = 7777; port < 7877; port++) if (await isFree(port, host)) return port
  return 0
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolveFree) => {
    const probe = createServer()
    probe.on('error', () => resolveFree(false))
    probe.listen(port, host, () => probe.close(() => resolveFree(true)))
  })
}

/**
 * Claims the state folder for this process until it ends. Throws FOLDER_IN_USE where another one is at work there: two
 * servers on one database would undo each other.
 */
export function claim(state: string): void {
  openPrivateState(state, ['logs', 'running.json'])
  const holder = takeProcessLock(join(state, 'running.json'))
  if (holder !== null)
    throw new RankscopeError('FOLDER_IN_USE', `Rankscope already runs in ${state} (process ${holder})`, {
      hint: 'end it first, or give this one a folder of its own with --state',
    })
}
