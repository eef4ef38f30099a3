/**
 * Settles what OpenBLAS and OpenMP read from the environment when they are loaded: which processor's kernels to use
 * and how threads wait.
 *
 * A container may export OPENBLAS_CORETYPE: forcing older kernels halves the speed on newer processors, yet old
 * OpenBLAS versions compute wrong results on processors that they mistake. So each choice is tried in a child
 * process that checks products and an SVD (openblas-probe.ts); the first that passes is kept, and remembered in a
 * file by processor and library. RANKSCOPE_OPENBLAS_CORETYPE=<type> overrides all this; the value `inherit` leaves
 * the environment as it is.
 */

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { launchCommand } from '@rankscope/launch'
import koffi from 'koffi'
import { z } from 'zod'
import { buildFolder, processor } from '../../kernels/built-library.ts'

/** Variables to set before the library loads; null removes one. */
type Environment = Readonly<Record<string, string | null>>

const verdictSchema = z.union([
  z.object({ environment: z.record(z.string(), z.string().nullable()), core: z.string() }),
  z.object({ failures: z.array(z.string()) }),
])
type Verdict = z.infer<typeof verdictSchema>

/** Verdicts of this thread by library. */
const prepared = new Map<string | null, string | undefined>()

/**
 * Prepares this process for the OpenBLAS at `library` (null: none is used); to be called before anything loads it.
 * Returns why that OpenBLAS must not be used, or undefined when it may.
 */
export function prepareOpenblas(library: string | null): string | undefined {
  if (!prepared.has(library)) prepared.set(library, prepare(library))
  return prepared.get(library)
}

function prepare(library: string | null): string | undefined {
  // Threads that spin until there is work slow every other process down: a step took twice as long beside one. A short
  // spin only bridges the gap between two kernels: a step of LoRA (size A of bench/engine) took 2 % less.
  setCEnvironment({
    OMP_WAIT_POLICY: process.env['OMP_WAIT_POLICY'] ?? 'passive',
    GOMP_SPINCOUNT: process.env['GOMP_SPINCOUNT'] ?? '2000',
  })
  if (library === null) return undefined
  // The kernels remember the one that they were built with, which may be gone since.
  if (!existsSync(library)) return `${library} is not there`
  const wished = process.env['RANKSCOPE_OPENBLAS_CORETYPE']
  if (wished === 'inherit') return undefined
  if (wished) {
    setCEnvironment({ OPENBLAS_CORETYPE: wished })
    return undefined
  }
  const verdict = recall(library) ?? remember(library, decide(library))
  if ('failures' in verdict) return `${library} computes wrong results here (${verdict.failures.join('; ')})`
  setCEnvironment(verdict.environment)
  return undefined
}

/** The environments to try, fastest first. */
function candidates(): Environment[] {
  const asItIs: Environment = {}
  const detected: Environment = { OPENBLAS_CORETYPE: null, OPENBLAS_L2_SIZE: null }
  const forced = process.arch === 'x64' ? ['SKYLAKEX', 'HASWELL', 'SANDYBRIDGE'] : []
  return [detected, ...forced.map((type) => ({ ...detected, OPENBLAS_CORETYPE: type })), asItIs]
}

function decide(library: string): Verdict {
  const failures: string[] = []
  for (const environment of candidates()) {
    const result = runProbe(library, environment)
    if (result.status === 0) return { environment, core: result.stdout.trim() }
    const lastLine = result.stderr.trim().split('\n').at(-1) ?? ''
    failures.push(`${environment['OPENBLAS_CORETYPE'] ?? 'detected'}: ${result.signal ?? lastLine}`)
  }
  return { failures }
}

function runProbe(library: string, environment: Environment) {
  const variables = { ...process.env, OMP_WAIT_POLICY: 'passive' } as Record<string, string>
  for (const [name, value] of Object.entries(environment)) {
    if (value === null) delete variables[name]
    else variables[name] = value
  }
  const [program, ...args] = launchCommand(new URL('./openblas-probe.ts', import.meta.url), library)
  return spawnSync(program, args, { env: variables, encoding: 'utf8', timeout: 60_000 })
}

function verdictFile(library: string): string {
  const { size, mtimeMs } = statSync(library)
  // The variables themselves are part of the key, since one candidate leaves them as they are.
  const inherited = `${process.env['OPENBLAS_CORETYPE']} ${process.env['OPENBLAS_L2_SIZE']}`
  const key = `1 ${processor()} ${realpathSync(library)} ${size} ${mtimeMs} ${inherited}`
  return join(buildFolder, `openblas-${createHash('sha256').update(key).digest('hex').slice(0, 12)}.json`)
}

function recall(library: string): Verdict | undefined {
  try {
    return verdictSchema.parse(JSON.parse(readFileSync(verdictFile(library), 'utf8')))
  } catch {
    return undefined
  }
}

function remember(library: string, verdict: Verdict): Verdict {
  const file = verdictFile(library)
  try {
    mkdirSync(buildFolder, { recursive: true })
    writeFileSync(`${file}.${process.pid}`, `${JSON.stringify(verdict)}\n`)
    renameSync(`${file}.${process.pid}`, file)
  } catch {
    // A folder that cannot be written only costs the next start another check.
  }
  return verdict
}

/** Changes the environment that C code sees: in a worker thread process.env is only a copy. */
export function setCEnvironment(environment: Environment): void {
  const c = koffi.load(null)
  const set = c.func('int setenv(const char *name, const char *value, int overwrite)')
  const unset = c.func('int unsetenv(const char *name)')
  for (const [name, value] of Object.entries(environment)) {
    if (value === null) unset(name)
    else set(name, value, 1)
  }
}
