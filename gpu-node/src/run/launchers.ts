/** What the launchers need on the host that leads, looked for before anything is started: LAUNCHER_MISSING says what is not there. */
import { execFile } from 'node:child_process'
import { type GangMember, RankscopeError } from '@rankscope/protocol'

/** Without a password and with nobody to ask; a silent link is given up. */
export const ssh = [
  'ssh',
  ...['-o', 'BatchMode=yes', '-o', 'ConnectTimeout=10'],
  ...['-o', 'ServerAliveInterval=2', '-o', 'ServerAliveCountMax=2'],
]

/** On every other host: that it lets this one in without a password, and finds the daemon of Open MPI. */
export async function requireSsh(others: readonly GangMember[]): Promise<void> {
  const problems = await Promise.all(
    others.map(async ({ name, reach: { address } }) => {
      const problem = await problemOf([...ssh, address, 'command -v orted'])
      return problem === null ? [] : [`${name} (ssh ${address}): ${problem}`]
    }),
  )
  const [first] = problems.flat()
  if (first === undefined) return
  throw new RankscopeError('LAUNCHER_MISSING', first, {
    hint: 'As the user of the daemon, `ssh ADDRESS command -v orted` must answer without a question: a key, a known host, and Open MPI there in the PATH of commands that are not typed in.',
  })
}

/** That srun is there and speaks PMIx; without it Open MPI starts every rank as a job of its own. */
export async function requireSrun(): Promise<void> {
  const problem = await problemOf(['srun', '--mpi=list'], /\bpmix/)
  if (problem === null) return
  throw new RankscopeError('LAUNCHER_MISSING', `srun --mpi=list: ${problem}`, {
    hint: 'Slurm with its PMIx plugin is needed (Debian: slurmd and slurm-wlm-basic-plugins have it); else start the daemons with --launcher ssh or agent.',
  })
}

/** Launchers take a command apart at spaces. */
export function requireNoSpaces(words: readonly string[]): void {
  if (!words.some((word) => /\s/.test(word))) return
  throw new RankscopeError('LAUNCHER_MISSING', `a path with spaces cannot start ranks: ${words.join(' ')}`, {
    hint: 'Move Rankscope, or TMPDIR, to a path without spaces.',
  })
}

/** Null where the command ends well and prints what is `wanted`. */
function problemOf([program, ...args]: readonly string[], wanted = /./): Promise<string | null> {
  return new Promise((resolve) => {
    execFile(program!, args, { timeout: 20_000 }, (error, stdout, stderr) => {
      const told = `${stdout}\n${stderr}`.trim()
      if (error) resolve(told.split('\n').at(-1) || error.message)
      else resolve(wanted.test(told) ? null : `it does not name what is needed: ${told.slice(0, 200)}`)
    })
  })
}
