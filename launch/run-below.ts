/** Runs another program to its end in place of this one: what is asked of this one is asked of it. */
import { spawn } from 'node:child_process'

const passedOn = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const
export type Passed = (typeof passedOn)[number]

/** Exit codes as a shell gives them: 128 and the signal’s number. */
export const signalCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const satisfies Record<
  Passed,
  number
>

export interface Ended {
  /** As a shell gives it. */
  readonly code: number
  /** What this program was asked for meanwhile, the last of it; null where nothing was. */
  readonly asked: Passed | null
}

/**
 * Signals reach the program, and this one lives until it has ended. In a terminal Ctrl-C reaches both by itself.
 * npm starts a shell that dies of SIGTERM without a word to what it started: under npm that counts as SIGTERM.
 */
export async function runBelow(
  [program, ...args]: readonly [string, ...string[]],
  stdio: 'inherit' | ('ignore' | 'inherit')[] = 'inherit',
): Promise<Ended> {
  const child = spawn(program, args, { stdio })
  let asked: Passed | null = null
  const pass = (signal: Passed) => {
    asked = signal
    child.kill(signal)
  }
  const heard = passedOn.map((signal) => [signal, () => pass(signal)] as const)
  for (const [signal, hear] of heard) process.on(signal, hear)
  const above = process.ppid
  const watch = setInterval(() => {
    if (asked === null && process.ppid !== above) pass('SIGTERM')
  }, 500)
  if (process.env['npm_lifecycle_event'] === undefined) clearInterval(watch)
  try {
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (exitCode, by) => resolve([exitCode, by]))
    })
    const codes: Readonly<Record<string, number>> = signalCodes
    return { code: code ?? codes[signal ?? ''] ?? 1, asked }
  } finally {
    clearInterval(watch)
    for (const [signal, hear] of heard) process.off(signal, hear)
  }
}
