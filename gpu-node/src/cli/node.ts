/** `npm run node`: this machine as a GPU node of a server. */
import { availableParallelism, hostname } from 'node:os'
import { parseArgs } from 'node:util'
import { createForOwnerOnly, endOnFault, leaveWithParent } from '@rankscope/launch'
import {
  errorPayload,
  nameLengths,
  nameSchema,
  parseOrThrow,
  RankscopeError,
  type Reach,
  reachSchema,
} from '@rankscope/protocol'
import { probeBackends } from '../daemon/backend-report.ts'
import { type Daemon, defaultRunEntry, startDaemon } from '../daemon/daemon.ts'

const usage = `usage: npm run node -- --server URL --token T [options]

  --server URL      address of the server, e.g. http://10.0.0.5:4600
  --token T         the token that the server printed at its start (or RANKSCOPE_TOKEN)
  --name NAME       what the dashboard calls this node           [host name]
  --slots N         runs at a time                               [cores, at most 4]
  --threads N       processor threads of each run                [cores / slots]
  --models DIR      folder of base models that runs may use; repeatable
  --data DIR        folder of data files that runs may use; repeatable
  --launcher agent|ssh|srun   take part in runs over several hosts: through the daemons, by mpirun over ssh, or by srun
                    in the allocation of Slurm in which this is started
  --address HOST    what other hosts call this one there, e.g. 10.0.0.6   [with srun: Slurm’s name of it]
  --state DIR       spool, checkpoints, exports and logs         [.rankscope/node]
  --keep-checkpoints N   checkpoints kept of a run, whatever its configuration asks for
  --checkpoint-gib N     what the checkpoints of all runs may take: the oldest go first, and never the newest of a run
                    that is not finished
  --spool-mib N     records that may wait for the server before runs are halted   [2048]
`

const graceMs = 20_000

function count(value: string | undefined, option: string, fallback: number): number {
  if (value === undefined) return fallback
  const number = Number(value)
  if (!Number.isInteger(number) || number < 1 || number > 2 ** 20)
    throw new RankscopeError('CONFIG_INVALID', `${option} ${value}: a whole number from 1 on is needed`)
  return number
}

function limit(value: string | undefined, option: string): number | null {
  return value === undefined ? null : count(value, option, 0)
}

/** Null where the node takes part in no run over several hosts. */
function reachOf(launcher: string | undefined, address: string | undefined): Reach | null {
  if (launcher === undefined && address === undefined) return null
  const where = launcher === 'srun' ? placeInSlurm() : {}
  const reach = { launcher, ...where, ...(address !== undefined && { address }) }
  return parseOrThrow(reachSchema, reach, 'CONFIG_INVALID', '--launcher with --address')
}

/** Throws LAUNCHER_MISSING outside of a job of Slurm. */
function placeInSlurm(): Omit<Reach, 'launcher'> {
  const { SLURM_JOB_ID: allocation, SLURMD_NODENAME: address } = process.env
  if (allocation !== undefined && address !== undefined) return { allocation, address }
  throw new RankscopeError('LAUNCHER_MISSING', '--launcher srun: this is no task of a job of Slurm', {
    hint: 'Start the daemons by srun, one on each host, inside of salloc or sbatch.',
  })
}

function gibibytes(count: number | null): number | null {
  return count === null ? null : count * 2 ** 30
}

function start(): Daemon {
  createForOwnerOnly()
  const { values } = parseArgs({
    options: {
      server: { type: 'string' },
      token: { type: 'string' },
      name: { type: 'string' },
      slots: { type: 'string' },
      threads: { type: 'string' },
      models: { type: 'string', multiple: true },
      data: { type: 'string', multiple: true },
      launcher: { type: 'string' },
      address: { type: 'string' },
      state: { type: 'string' },
      'keep-checkpoints': { type: 'string' },
      'checkpoint-gib': { type: 'string' },
      'spool-mib': { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) {
    console.log(usage)
    process.exit(0)
  }
  const token = values.token ?? process.env['RANKSCOPE_TOKEN']
  if (values.server === undefined || !URL.canParse(values.server) || token === undefined)
    throw new RankscopeError('CONFIG_INVALID', 'the address of a server and its token are needed', {
      hint: 'take both from the output of `npm start` on the other machine: --server http://HOST:PORT --token T',
    })
  const cores = availableParallelism()
  const slots = count(values.slots, '--slots', Math.min(4, cores))
  const threadsPerRun = count(values.threads, '--threads', Math.max(1, Math.floor(cores / slots)))
  return startDaemon({
    url: values.server,
    token,
    state: values.state ?? '.rankscope/node',
    name: parseOrThrow(nameSchema(nameLengths.name), values.name ?? hostname(), 'CONFIG_INVALID', '--name'),
    slots,
    threadsPerRun,
    reach: reachOf(values.launcher, values.address),
    models: values.models ?? [],
    data: values.data ?? [],
    keepCheckpoints: limit(values['keep-checkpoints'], '--keep-checkpoints'),
    checkpointBytes: gibibytes(limit(values['checkpoint-gib'], '--checkpoint-gib')),
    diskRetryMs: 1000,
    spoolBytes: count(values['spool-mib'], '--spool-mib', 2048) * 2 ** 20,
    backends: probeBackends(threadsPerRun),
    runEntry: defaultRunEntry,
    stopGraceMs: 30_000,
    reconnectMs: { first: 250, longest: 5000 },
    refused: fail,
    report: (line) => console.log(`${new Date().toTimeString().slice(0, 8)} ${line}`),
  })
}

function fail(error: unknown): never {
  const { code, message, hint } = errorPayload(error)
  console.error(`${code}: ${message}${hint === null ? '' : `\n  hint: ${hint}`}`)
  process.exit(1)
}

/** The first signal leaves in order: a checkpoint of every run, up to 20 s. The second leaves at once. */
function leaveOnSignal(daemon: Daemon): void {
  let leaving = false
  const leave = () => {
    if (leaving) process.exit(1)
    leaving = true
    console.log('leaving: runs write a checkpoint first (again to leave at once)')
    daemon.close(graceMs).then(() => process.exit(0), fail)
  }
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.on(signal, leave)
  leaveWithParent(leave)
}

endOnFault((error) => {
  console.error(error instanceof Error ? error.stack : error)
  fail(error)
})
try {
  leaveOnSignal(start())
} catch (error) {
  fail(error)
}
