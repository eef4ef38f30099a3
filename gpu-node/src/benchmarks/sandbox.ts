/**
 * Runs a Python program that nobody has read, inside bubblewrap: every namespace its own (processes, network, users, IPC,
 * host name), the system read-only, nothing of the home folder, an empty temporary folder of bounded size, no environment;
 * with limits of time, memory, processes, files and output. Where that cannot be had, nothing is run.
 *
 * A program passes when it runs to its end: the last thing that happens is a word printed that it cannot know beforehand,
 * so that one which exits early, even with success, has not passed. A model's mistakes are contained by this, and so are
 * the common ways to do harm; it is no proof against an attack on the kernel itself.
 */
import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { RankscopeError } from '@rankscope/protocol'

export interface ProgramResult {
  readonly outcome: 'passed' | 'failed' | 'timed-out'
  /** The last line that it left on its error output, or what ended it; null where there is nothing to say. */
  readonly detail: string | null
}

export interface ProgramLimits {
  /** Of wall-clock time; of processor time it gets one more. */
  readonly seconds: number
}

/** Of each process; a few of them fit into any machine that trains. */
const memoryBytes = 2 ** 30
const processes = 32
const temporaryBytes = 64 * 2 ** 20
/** Kept of what it prints on its error output: enough for a traceback’s end. */
const keptOutput = 16 * 2 ** 10

const python = '/usr/bin/python3'
/** The user that owns nothing: limits of processes bind it, as they do not bind root. */
const nobody = 65_534

/** Reads the program and the word, forgets where they came from, and prints the word after the program’s end. */
const harness = `
import os, sys
word, _, source = sys.stdin.read().partition("\\n")
out = os.dup(1)
os.close(0)
sys.setrecursionlimit(3000)
exec(compile(source, "program.py", "exec"), {"__name__": "__main__"})
os.write(out, word.encode())
os._exit(0)
`

/** Throws SETUP_MISSING where programs cannot be contained. */
export function requireSandbox(): void {
  const problem = sandboxProblem()
  if (problem !== null)
    throw new RankscopeError('SETUP_MISSING', `generated programs cannot be run safely: ${problem}`, {
      hint: 'Install bubblewrap and python3 (Debian: apt-get install bubblewrap python3), or leave out the benchmarks that run programs.',
    })
}

let known: string | null | undefined

/** Why there is no sandbox; null where there is one. Tried once, by running a program that passes. */
export function sandboxProblem(): string | null {
  if (known === undefined) known = findProblem()
  return known
}

function findProblem(): string | null {
  if (process.platform !== 'linux') return `bubblewrap needs Linux, this is ${process.platform}`
  if (!existsSync(python)) return `${python} is not there`
  for (const program of ['bwrap', 'prlimit'])
    if (spawnSync(program, ['--version']).status !== 0) return `${program} is not installed`
  const word = randomBytes(16).toString('hex')
  const [program, ...args] = command(5)
  const tried = spawnSync(program, args, {
    input: `${word}\npass\n`,
    encoding: 'utf8',
    ...identity(),
    timeout: 20_000,
  })
  if (tried.stdout === word) return null
  return `bubblewrap cannot set it up (${lastLine(tried.stderr ?? '') ?? tried.error?.message ?? `exit code ${tried.status}`})`
}

/** Runs `source` to its end or its limits. Throws SETUP_MISSING where it cannot be contained. */
export async function runProgram(source: string, { seconds }: ProgramLimits): Promise<ProgramResult> {
  requireSandbox()
  const word = randomBytes(16).toString('hex')
  const [program, ...args] = command(seconds)
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], ...identity() })
  let printed = ''
  let errors = ''
  let timedOut = false
  child.stdout.on('data', (chunk: Buffer) => {
    printed = (printed + chunk.toString('latin1')).slice(-word.length)
  })
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString('utf8')).slice(-keptOutput)
  })
  // A program that ends before it has read its input breaks the pipe: that is its own affair.
  child.stdin.on('error', () => undefined)
  child.stdin.end(`${word}\n${source}`)
  // bubblewrap takes all its processes along.
  const timer = setTimeout(() => {
    timedOut = true
    child.kill('SIGKILL')
  }, seconds * 1000)
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (exitCode, by) => resolve([exitCode, by]))
  })
  clearTimeout(timer)
  if (printed === word) return { outcome: 'passed', detail: null }
  if (timedOut) return { outcome: 'timed-out', detail: `more than ${seconds} s` }
  const ended = code === 0 ? 'ended before its tests did' : `ended with ${signal ?? `exit code ${code}`}`
  return { outcome: 'failed', detail: lastLine(errors) ?? ended }
}

/** Root gives its rights away first: limits of processes do not bind it. */
function identity(): { uid?: number; gid?: number } {
  return process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : {}
}

function command(seconds: number): [string, ...string[]] {
  return [
    'prlimit',
    ...[`--as=${memoryBytes}`, `--cpu=${seconds + 1}`, '--nofile=64', '--core=0'],
    `--fsize=${temporaryBytes}`,
    '--',
    'bwrap',
    ...['--unshare-all', '--die-with-parent', '--new-session', '--clearenv', '--cap-drop', 'ALL'],
    ...['--hostname', 'sandbox', '--ro-bind', '/usr', '/usr'],
    ...['bin', 'lib', 'lib64'].flatMap((name) => ['--symlink', `usr/${name}`, `/${name}`]),
    ...[
      '--proc',
      '/proc',
      '--dev',
      '/dev',
      '--size',
      String(temporaryBytes),
      '--tmpfs',
      '/tmp',
      '--chdir',
      '/tmp',
    ],
    ...['--setenv', 'PATH', '/usr/bin', '--setenv', 'HOME', '/tmp', '--setenv', 'PYTHONHASHSEED', '0'],
    // Inside: there only the sandbox's own processes count.
    ...['prlimit', `--nproc=${processes}`, '--', python, '-I', '-c', harness],
  ] as [string, ...string[]]
}

function lastLine(text: string): string | null {
  const line = text.trim().split('\n').at(-1)?.slice(0, 300)
  return line === undefined || line === '' ? null : line
}
