/** What can happen to the hosts of a run that several share, and to what joins them. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Cluster } from '../../e2e/cluster.ts'
import type { Draw } from '../draw.ts'

export interface Scene {
  readonly cluster: Cluster
  readonly draw: Draw
  /** Hosts of the attempt, the one that leads first. */
  readonly hosts: readonly number[]
}

export interface GangFault {
  /** How often it is drawn, beside the others. */
  readonly weight: number
  /** Whether the attempt cannot outlive it; where it may, it must go on or be taken up again. */
  readonly isFatal: boolean
  /** Does it at once; what it returns ends it when its time has come. */
  strike(scene: Scene): Promise<() => Promise<void>>
}

const nothing = async () => {}
const after = async (ms: number, end: () => void) => {
  await delay(ms)
  end()
}

export const gangFaults = {
  'kill -9 of a rank': {
    weight: 4,
    isFatal: true,
    async strike(scene) {
      signal(await pickRank(scene), 'SIGKILL')
      return nothing
    },
  },
  'kill -9 of the daemon that leads': { weight: 2, isFatal: true, strike: kill('daemon', 'leads') },
  'kill -9 of a daemon that follows': { weight: 3, isFatal: true, strike: kill('daemon', 'follows') },
  'kill -9 of all of the host that leads': { weight: 2, isFatal: true, strike: kill('host', 'leads') },
  'kill -9 of all of a host that follows': { weight: 3, isFatal: true, strike: kill('host', 'follows') },
  'cable out for 3 s': { weight: 3, isFatal: false, strike: unplug(3000) },
  'cable out for 60 s': { weight: 2, isFatal: true, strike: unplug(60_000) },
  'hosts apart for 20 s, both with the server': {
    weight: 2,
    isFatal: true,
    async strike({ cluster: { hosts: net }, hosts: [one, other] }) {
      net.part(one!, other!, 'apart')
      return () => after(20_000, () => net.part(one!, other!, 'together'))
    },
  },
  'link at 1 Mbit/s for 5 s': {
    weight: 2,
    isFatal: false,
    async strike({ cluster, draw, hosts }) {
      const host = draw.pick(hosts)!
      cluster.hosts.shape(host, '1mbit')
      return () => after(5000, () => cluster.hosts.shape(host, null))
    },
  },
  'a rank stands still for 1 to 5 s': {
    weight: 2,
    isFatal: false,
    strike: async (scene) => halt([await pickRank(scene)], scene.draw.between(1000, 5000)),
  },
  'a host stands still for 1 to 8 s': {
    weight: 2,
    isFatal: false,
    strike: async ({ cluster, draw, hosts }) =>
      halt(cluster.hosts.processIds(draw.pick(hosts)!), draw.between(1000, 8000)),
  },
} as const satisfies Record<string, GangFault>

export type GangFaultName = keyof typeof gangFaults

/** Ranks that are alive on a host. */
export function ranksOn(cluster: Cluster, host: number): number[] {
  return cluster
    .leftOn(host)
    .filter((line) => line.includes('rank-entry'))
    .map((line) => Number.parseInt(line, 10))
}

/** One of all ranks of the attempt, as soon as there is any. */
async function pickRank({ cluster, draw, hosts }: Scene): Promise<number> {
  for (;;) {
    const rank = draw.pick(hosts.flatMap((host) => ranksOn(cluster, host)))
    if (rank !== undefined) return rank
    await delay(20)
  }
}

/** The host is there again up to 3 s later, in half of the cases only when another has taken its part, if one has room. */
function kill(what: 'daemon' | 'host', part: 'leads' | 'follows'): GangFault['strike'] {
  return async ({ cluster, draw, hosts }) => {
    const host = part === 'leads' ? hosts[0]! : draw.pick(hosts.slice(1))!
    const awayMs = part === 'follows' && draw.between(0, 1) < 0.5 ? 15_000 : draw.between(0, 3000)
    await cluster.killNode(host, what)
    return async () => {
      await delay(awayMs)
      await cluster.startNode(host)
    }
  }
}

function unplug(ms: number): GangFault['strike'] {
  return async ({ cluster, draw, hosts }) => {
    const host = draw.pick(hosts)!
    cluster.hosts.plug(host, 'out')
    return () => after(ms, () => cluster.hosts.plug(host, 'in'))
  }
}

async function halt(processes: readonly number[], ms: number): Promise<() => Promise<void>> {
  for (const processId of processes) signal(processId, 'SIGSTOP')
  return () =>
    after(ms, () => {
      for (const processId of processes) signal(processId, 'SIGCONT')
    })
}

function signal(processId: number, name: NodeJS.Signals): void {
  try {
    process.kill(processId, name)
  } catch {
    // Gone meanwhile.
  }
}
