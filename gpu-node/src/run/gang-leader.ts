/**
 * The process that leads a run of several nodes: waits until every other one is ready and holds the same files, has mpirun
 * start ranks on all of them, and ends them together. Nothing starts before everything can.
 */
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { launchCommand } from '@rankscope/launch'
import { RankscopeError, type RunConfig } from '@rankscope/protocol'
import type { GangLink, RunEnvironment, RunOutcome } from './environment.ts'
import { type Fingerprint, fingerprintOf, requireEqual } from './fingerprint.ts'
import { type FromFollower, fromBytes, networksOf, toBytes } from './gang-messages.ts'
import { requireNoSpaces, requireSrun, requireSsh, ssh } from './launchers.ts'
import { type HostRanks, type Job, keepAlive, startJob, startSrunJob } from './mpi-job.ts'
import { MessageReader, writeMessage } from './rank-messages.ts'
import type { FromAgent, ToAgent } from './start-agent.ts'

type Ready = Extract<FromFollower, { type: 'ready' }>

const greetEveryMs = 500
/** A host that says nothing for so long is not there. */
const silentMs = 30_000
/** How long the last words of other hosts may take, by way of the server. */
const lastWordsMs = 3000
export class GangLeader {
  readonly #config: RunConfig
  readonly #environment: RunEnvironment
  readonly #gang: GangLink
  readonly #outcome: (rank: number, outcome: RunOutcome) => void
  readonly #ready = new Map<string, Ready>()
  readonly #heardMs = new Map<string, number>()
  /** By node: what asked for its daemon and waits for its end. */
  readonly #agents = new Map<string, (answer: ToAgent) => void>()
  #server: Server | null = null
  #changed: () => void = () => {}
  /** What ended the attempt, where another host said so. */
  loss: string | null = null
  onLoss: () => void = () => {}

  constructor(
    config: RunConfig,
    environment: RunEnvironment,
    gang: GangLink,
    outcome: (rank: number, outcome: RunOutcome) => void,
  ) {
    this.#config = config
    this.#environment = environment
    this.#gang = gang
    this.#outcome = outcome
    gang.onMessage((from, body) => this.#hear(from, fromBytes<FromFollower>(body)))
  }

  get address(): string {
    return this.#gang.members[0]!.reach.address
  }

  get devices(): number {
    return this.#gang.members[0]!.devices
  }

  /**
   * Resolves when every host is ready, to what starts the job. `command`: of the ranks here. `folder`: of this attempt.
   * Throws HOSTS_DIFFER, LAUNCHER_MISSING, COLLECTIVE_FAILED.
   */
  async gather(folder: string, command: readonly string[]): Promise<() => Job> {
    const { emit, roots } = this.#environment
    const others = this.#gang.members.slice(1)
    emit({ kind: 'lifecycle', state: 'running', error: null })
    emit({
      kind: 'phase',
      phase: 'loading-model',
      progress: null,
      detail: `comparing hosts: ${this.#gang.members.map(({ name, devices }) => `${devices} on ${name}`).join(', ')}`,
    })
    const now = performance.now()
    for (const { nodeId } of others) this.#heardMs.set(nodeId, now)
    const greet = () => {
      for (const { nodeId } of others)
        if (!this.#ready.has(nodeId)) this.#gang.tell(nodeId, toBytes({ type: 'greet' }))
    }
    const greeting = setInterval(() => {
      greet()
      this.#changed()
    }, greetEveryMs)
    let own: Fingerprint
    try {
      greet()
      own = await fingerprintOf(this.#config, roots)
      while (this.#ready.size < others.length) {
        this.requireWhole()
        await new Promise<void>((resolve) => {
          this.#changed = resolve
        })
      }
    } finally {
      clearInterval(greeting)
    }
    for (const { nodeId, name } of others) requireEqual(own, this.#ready.get(nodeId)!.fingerprint, name)
    const hosts = [
      { address: this.address, devices: this.devices, command },
      ...others.map(({ nodeId, reach, devices }) => {
        return { address: reach.address, devices, command: this.#ready.get(nodeId)!.command }
      }),
    ]
    return this.#launcher(folder, hosts)
  }

  /** Throws COLLECTIVE_FAILED where another host has failed, was asked to leave, or says nothing. */
  requireWhole(): void {
    const silent = this.#gang.members
      .slice(1)
      .find(
        ({ nodeId }) => !this.#ready.has(nodeId) && performance.now() - this.#heardMs.get(nodeId)! > silentMs,
      )
    if (silent) this.loss ??= `${silent.name} did not answer within ${silentMs / 1000} s`
    if (this.#environment.control.leave !== null && this.loss === null)
      this.loss = 'the run was asked to leave'
    if (this.loss === null) return
    throw this.#failure ?? new RankscopeError('COLLECTIVE_FAILED', this.loss)
  }

  #failure: RankscopeError | null = null

  /** Resolves when `isComplete`, or when nothing more is to be expected. */
  async lastWords(isComplete: () => boolean): Promise<void> {
    let patience: NodeJS.Timeout | undefined
    const over = new Promise<'over'>((resolve) => {
      patience = setTimeout(resolve, lastWordsMs, 'over')
    })
    while (!isComplete()) {
      const changed = new Promise<'changed'>((resolve) => {
        this.#changed = () => resolve('changed')
      })
      if ((await Promise.race([changed, over])) === 'over') break
    }
    clearTimeout(patience)
  }

  end(): void {
    for (const { nodeId } of this.#gang.members.slice(1)) this.#gang.tell(nodeId, toBytes({ type: 'end' }))
    this.#dismissAgents()
    this.#server?.close()
  }

  #dismissAgents(): void {
    for (const answer of this.#agents.values()) answer({ status: 1, text: '' })
    this.#agents.clear()
  }

  #hear(nodeId: string, message: FromFollower): void {
    const member = this.#gang.members.find((one) => one.nodeId === nodeId)
    if (!member) return
    this.#heardMs.set(nodeId, performance.now())
    switch (message.type) {
      case 'ready':
        this.#ready.set(nodeId, message)
        break
      case 'preparing':
      case 'launched':
        break
      case 'ended':
        this.#agents.get(nodeId)?.({ status: message.status, text: message.how })
        this.#agents.delete(nodeId)
        // It ends before the others where its part was cut off; in order it ends with them.
        if (message.status !== 0) this.#lose(`the ranks on ${member.name} ended: ${message.how}`)
        break
      case 'outcome':
        this.#outcome(message.rank, message.outcome)
        break
      case 'failed':
        this.#failure ??= RankscopeError.fromPayload({
          ...message.error,
          message: `${member.name}: ${message.error.message}`,
        })
        this.#lose(this.#failure.message)
        break
      default:
        message satisfies never
    }
    this.#changed()
  }

  #lose(what: string): void {
    this.loss ??= what
    this.#dismissAgents()
    this.onLoss()
  }

  async #launcher(folder: string, hosts: readonly HostRanks[]): Promise<() => Job> {
    const { launcher, allocation = '' } = this.#gang.members[0]!.reach
    const networks = this.#networks()
    const mpirun = (agent: string) => () => {
      const settings = { plm_rsh_no_tree_spawn: '1', plm_rsh_agent: agent, ...networks, ...keepAlive }
      return startJob(hosts, settings)
    }
    switch (launcher) {
      case 'ssh':
        await requireSsh(this.#gang.members.slice(1))
        return mpirun(ssh.join(' '))
      case 'srun':
        await requireSrun()
        requireNoSpaces(hosts.flatMap(({ command }) => command))
        return () => startSrunJob(hosts, allocation, folder, networks)
      case 'agent': {
        const socket = join(folder, 'agent.sock')
        await this.#serveAgents(socket)
        const agent = launchCommand(new URL('./start-agent.ts', import.meta.url), socket)
        requireNoSpaces(agent)
        return mpirun(agent.join(' '))
      }
      default:
        return launcher satisfies never
    }
  }

  /** mpirun's requests to start a daemon on another host of this run: each host's once. */
  async #serveAgents(socket: string): Promise<void> {
    const asked = new Set<string>()
    this.#server = createServer((connection) => {
      connection.on('error', () => undefined)
      const answer = (message: ToAgent) => writeMessage(connection, message)
      const reader = new MessageReader((value) => {
        const { host, words } = value as FromAgent
        const member = this.#gang.members.slice(1).find(({ reach }) => reach.address === host)
        if (!member || asked.has(host)) {
          answer({ status: 1, text: `${host} ${member ? 'was started already' : 'has no part in the run'}` })
          return
        }
        asked.add(host)
        this.#agents.set(member.nodeId, answer)
        this.#gang.tell(member.nodeId, toBytes({ type: 'launch', words }))
      })
      connection.on('data', (part) => reader.push(part))
    })
    await new Promise<void>((resolve, reject) => {
      this.#server!.once('error', reject)
      this.#server!.listen(socket, resolve)
    })
  }

  /** Only the networks by which the hosts call one another: bridges of containers look alike on all of them. */
  #networks(): Readonly<Record<string, string>> {
    const own = networksOf(this.address)
    const all = [...own, ...[...this.#ready.values()].flatMap(({ networks }) => networks)]
    // Hosts that are called by name are looked up by mpirun.
    if (own.length === 0 || [...this.#ready.values()].some(({ networks }) => networks.length === 0)) return {}
    const list = [...new Set(all)].join(',')
    return { oob_tcp_if_include: list, btl_tcp_if_include: list }
  }
}
