/**
 * Settles what OpenBLAS and OpenMP read from the environment when they are loaded: which processor's kernels to use
 * and how threads wait.
 *
 * A container may export OPENBLAS_CORETYPE: forcing older kernels halves the speed on newer processors, yet old
 * OpenBLAS versions compute wrong results on processors that they mistake, and on one newer than they are they may detect
 * the slowest kernels that they have. So each choice is tried in a child process that checks products and an SVD
 * (openblas-probe.ts). The set-up (gpu-node/src/native-libraries/tune-products.ts) also measures them and keeps the fastest that computes right,
 * in a file by processor and library; without it, the first that computes right is taken. Measuring belongs to the set-up
 * alone: two processes that measured for themselves could choose differently, and their results would differ in bits.
 * RANKSCOPE_OPENBLAS_CORETYPE=<type> overrides all this; the value `inherit` leaves the environment as it is.
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

const ratesSchema = z.object({ sgemm: z.number(), dgemm: z.number() })
const probeSchema = z.object({ core: z.string(), rates: ratesSchema.nullable() })
const verdictSchema = z.union([
  z.object({
    environment: z.record(z.string(), z.string().nullable()),
    core: z.string(),
    /** GFLOP/s of one thread, where it was measured. */
    rates: ratesSchema.nullable(),
  }),
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

/**
 * Chooses by measuring, unless that was done before on this processor with this library. Returns a sentence for people.
 */
export function tuneOpenblas(library: string): string {
  const known = recall(library)
  const verdict =
    known && 'rates' in known && known.rates !== null ? known : remember(library, decideByRate(library))
  if ('failures' in verdict) return `computes wrong results (${verdict.failures.join('; ')})`
  const { core, rates } = verdict
  return `${core} kernels${rates === null ? '' : `, ${rates.sgemm.toFixed(0)} and ${rates.dgemm.toFixed(0)} GFLOP/s a thread in float32 and float64`}`
}

/** How much faster another choice must be than the one that OpenBLAS makes itself. */
const worthChanging = 1.05

function decideByRate(library: string): Verdict {
  const failures: string[] = []
  let best: Exclude<Verdict, { failures: string[] }> | null = null
  const score = (rates: z.infer<typeof ratesSchema> | null) =>
    Math.sqrt((rates?.sgemm ?? 0) * (rates?.dgemm ?? 0))
  for (const environment of candidates()) {
    const result = runProbe(library, environment, '--rates')
    if (result.status !== 0) {
      failures.push(failureOf(environment, result))
      continue
    }
    const found = { environment, ...probeSchema.parse(JSON.parse(result.stdout)) }
    if (best === null || score(found.rates) > worthChanging * score(best.rates)) best = found
  }
  return best ?? { failures }
}

/** The environments to try; that of OpenBLAS's own choice first. */
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
    if (result.status === 0) return { environment, ...probeSchema.parse(JSON.parse(result.stdout)) }
    failures.push(failureOf(environment, result))
  }
  return { failures }
}

function failureOf(environment: Environment, { signal, stderr }: ReturnType<typeof runProbe>): string {
  const lastLine = stderr.trim().split('\n').at(-1) ?? ''
  return `${environment['OPENBLAS_CORETYPE'] ?? 'detected'}: ${signal ?? lastLine}`
}

function runProbe(library: string, environment: Environment, ...options: string[]) {
  const variables = { ...process.env, OMP_WAIT_POLICY: 'passive' } as Record<string, string>
  for (const [name, value] of Object.entries(environment)) {
    if (value === null) delete variables[name]
    else variables[name] = value
  }
  const [program, ...args] = launchCommand(
    new URL('./openblas-probe.ts', import.meta.url),
    library,
    ...options,
  )
  return spawnSync(program, args, { env: variables, encoding: 'utf8', timeout: 60_000 })
}

function verdictFile(library: string): string {
  const { size, mtimeMs } = statSync(library)
  // The variables themselves are part of the key, since one candidate leaves them as they are.
  const inherited = `${process.env['OPENBLAS_CORETYPE']} ${process.env['OPENBLAS_L2_SIZE']}`
  const key = `2 ${processor()} ${realpathSync(library)} ${size} ${mtimeMs} ${inherited}`
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
