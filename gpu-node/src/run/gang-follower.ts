/**
 * The process of a run on a node that another one leads: says what this host holds, starts Open MPI's daemon when it is
 * asked to (launcher `agent`), and ends with its ranks. It writes no records: rank 0 speaks for all.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { errorPayload, RankscopeError, type RunConfig } from '@rankscope/protocol'
import type { GangLink, RunEnvironment, RunOutcome } from './environment.ts'
import { type Fingerprint, fingerprintOf } from './fingerprint.ts'
import { type FromFollower, fromBytes, networksOf, type ToFollower, toBytes } from './gang-messages.ts'
import { RankHost } from './rank-host.ts'

const killAfterMs = 3000
const leavePollMs = 100

export async function followGang(
  config: RunConfig,
  environment: RunEnvironment,
  gang: GangLink,
): Promise<RunOutcome> {
  const leader = gang.members[0]!.nodeId
  const index = gang.members.findIndex(({ nodeId }) => nodeId === gang.nodeId)
  const own = gang.members[index]!
  const tell = (message: FromFollower) => gang.tell(leader, toBytes(message))
  const host = new RankHost({
    config,
    environment,
    devices: own.devices,
    firstRankHere: gang.members.slice(0, index).reduce((sum, { devices }) => sum + devices, 0),
    isShared: true,
    outcome: (rank, outcome) => tell({ type: 'outcome', rank, outcome }),
    record: () => {},
  })
  let daemon: ChildProcess | null = null
  let fingerprint: Fingerprint | null = null
  let end = () => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const ready = () => {
    if (fingerprint === null) tell({ type: 'preparing' })
    else {
      const networks = networksOf(own.reach.address)
      tell({ type: 'ready', command: host.command, fingerprint, networks })
    }
  }
  gang.onMessage((from, body) => {
    if (from !== leader) return
    const message = fromBytes<ToFollower>(body)
    switch (message.type) {
      case 'greet':
        ready()
        return
      case 'launch':
        if (daemon) return
        try {
          daemon = startDaemon(message.words)
        } catch (error) {
          tell({ type: 'failed', error: errorPayload(error) })
          return
        }
        daemon.once('error', (error) => tell({ type: 'failed', error: errorPayload(missing(error)) }))
        daemon.once('close', (status, signal) => {
          tell({ type: 'ended', status: status ?? 1, how: signal ?? `exit code ${status}` })
          end()
        })
        tell({ type: 'launched' })
        return
      case 'end':
        end()
        return
      default:
        message satisfies never
    }
  })
  // A stop, or a pause that rank 0 was not there to hear, ends this part; a pause of the run comes through rank 0.
  const leaving = setInterval(() => {
    if (environment.control.leave === 'stop') end()
  }, leavePollMs)
  host.onEmpty = end
  try {
    await host.open()
    fingerprint = await fingerprintOf(config, environment.roots)
    ready()
    await ended
  } catch (error) {
    tell({ type: 'failed', error: errorPayload(error) })
  } finally {
    clearInterval(leaving)
    await host.lastWords()
    await endDaemon(daemon)
    host.killRanks()
    host.close()
  }
  return { state: 'stopped', steps: 0 }
}

/** No shell reads them: nothing but Open MPI's daemon is started, and its arguments are words. */
function startDaemon(words: readonly string[]): ChildProcess {
  const command = words.join(' ')
  const [program = '', ...all] = (command.match(/"[^"]*"|'[^']*'|[^\s"']+/g) ?? []).map((word) =>
    word.replaceAll(/^["']|["']$/g, ''),
  )
  // It stays a child of this process, which sees it end.
  const args = all.filter((word) => word !== '--daemonize')
  if (!/(^|\/)orted$/.test(program) || args.some((word) => !/^[\w .,;:/@=+~^()[\]-]*$/.test(word)))
    throw new RankscopeError(
      'COLLECTIVE_FAILED',
      `this is not the daemon of Open MPI: ${command.slice(0, 300)}`,
    )
  // The kernel ends it with this process, however that ends.
  return spawn('setpriv', ['--pdeathsig', 'KILL', 'orted', ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
}

function missing(cause: Error): RankscopeError {
  return new RankscopeError(
    'LAUNCHER_MISSING',
    `the daemon of Open MPI cannot be started: ${cause.message}`,
    {
      cause,
      hint: 'Install Open MPI and util-linux (Debian: openmpi-bin, libopenmpi-dev, util-linux) on every host.',
    },
  )
}

async function endDaemon(daemon: ChildProcess | null): Promise<void> {
  if (!daemon || daemon.exitCode !== null || daemon.signalCode !== null) return
  const gone = new Promise((resolve) => daemon.once('close', resolve))
  daemon.kill('SIGTERM')
  const patience = setTimeout(() => daemon.kill('SIGKILL'), killAfterMs)
  await gone
  clearTimeout(patience)
}
