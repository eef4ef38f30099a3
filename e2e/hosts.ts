/**
 * Hosts of their own on one Linux machine, for tests of runs over several: network namespaces behind a bridge, each with
 * its own host name and shared memory. Only root can make them.
 */
import { execFileSync, spawnSync } from 'node:child_process'

/** Why hosts cannot be made here; null where they can. */
export function hostsMissing(): string | null {
  if (process.getuid?.() !== 0) return 'skipped: only root can make network namespaces'
  if (spawnSync('ip', ['netns']).status !== 0) return 'skipped: ip netns is not there (Debian: iproute2)'
  if (spawnSync('mpirun', ['--version']).status !== 0)
    return 'skipped: mpirun is not installed (Debian: openmpi-bin, libopenmpi-dev)'
  return null
}

export class Hosts {
  readonly #id: string
  readonly #network: string
  readonly #count: number

  /** `id`: one or two letters, by which namespaces of several tests are told apart. */
  constructor(id: string, count: number) {
    this.#id = `rs${id}${(process.pid % 4096).toString(16)}`
    this.#network = `10.${64 + (process.pid % 60)}.${Math.floor(process.pid / 60) % 250}`
    this.#count = count
  }

  /** Of the machine itself, where the server listens. */
  get serverAddress(): string {
    return `${this.#network}.254`
  }

  address(index: number): string {
    return `${this.#network}.${index + 1}`
  }

  make(): void {
    const bridge = `${this.#id}b`
    ip(`link add ${bridge} type bridge`)
    ip(`addr add ${this.serverAddress}/24 dev ${bridge}`)
    ip(`link set ${bridge} up`)
    for (let i = 0; i < this.#count; i++) {
      const [namespace, outer] = [this.#namespace(i), this.#link(i)]
      ip(`netns add ${namespace}`)
      ip(`link add ${outer} type veth peer name eth0 netns ${namespace}`)
      ip(`link set ${outer} master ${bridge} up`)
      ip(`-n ${namespace} addr add ${this.address(i)}/24 dev eth0`)
      for (const device of ['lo', 'eth0']) ip(`-n ${namespace} link set ${device} up`)
    }
  }

  /** What runs a command on a host. `prepare`: a line of shell before it, which may mount what the host alone is to see. */
  inside(index: number, prepare = 'true'): string[] {
    const script = `hostname host${index}; mount -t tmpfs tmpfs /dev/shm; ${prepare}; exec "$@"`
    const apart = ['unshare', '--uts', '--mount', '--ipc', 'sh', '-c', script, '_']
    // `ip netns exec` would mount a /sys without control groups, which Slurm's daemon looks for.
    return ['nsenter', `--net=/run/netns/${this.#namespace(index)}`, ...apart]
  }

  processIds(index: number): number[] {
    return output(['netns', 'pids', this.#namespace(index)])
      .split('\n')
      .filter((line) => line !== '')
      .map(Number)
  }

  /** Everything of a host at once, as when its power fails. */
  kill(index: number): void {
    for (const processId of this.processIds(index))
      try {
        process.kill(processId, 'SIGKILL')
      } catch {
        // It went along with one before it.
      }
  }

  /** Takes the cable out, or puts it in again. */
  plug(index: number, how: 'in' | 'out'): void {
    ip(`link set ${this.#link(index)} ${how === 'in' ? 'up' : 'down'}`)
  }

  /** Whether two hosts reach one another; both still reach the server. */
  part(index: number, other: number, how: 'apart' | 'together'): void {
    const route = how === 'apart' ? 'add' : 'del'
    for (const [from, to] of [
      [index, other],
      [other, index],
    ] as const)
      ip(`-n ${this.#namespace(from)} route ${route} blackhole ${this.address(to)}/32`)
  }

  /** What the host sends and receives is held to a rate, e.g. `1gbit`; null: to none. */
  shape(index: number, rate: string | null): void {
    const ends = [
      ['dev', this.#link(index)],
      ['-n', this.#namespace(index), 'dev', 'eth0'],
    ] as const
    for (const end of ends) {
      const [inside, device] = end.length === 4 ? [[end[0], end[1]], end[3]] : [[], end[1]]
      const change = rate === null ? 'del' : 'replace'
      const limit = rate === null ? [] : ['tbf', 'rate', rate, 'burst', '256kb', 'latency', '50ms']
      execFileSync('tc', [...inside, 'qdisc', change, 'dev', device, 'root', ...limit])
    }
  }

  /** Ends what still runs there, and removes them. */
  remove(): void {
    for (let i = 0; i < this.#count; i++) {
      this.kill(i)
      ip(`netns del ${this.#namespace(i)}`)
    }
    ip(`link del ${this.#id}b`)
  }

  #namespace(index: number): string {
    return `${this.#id}n${index}`
  }

  #link(index: number): string {
    return `${this.#id}v${index}`
  }
}

function ip(command: string): void {
  execFileSync('ip', command.split(' '))
}

function output(words: string[]): string {
  return spawnSync('ip', words, { encoding: 'utf8' }).stdout ?? ''
}
