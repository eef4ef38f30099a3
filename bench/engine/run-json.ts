/** Runs a program of the benchmark to its end and reads the last line that it prints; what it says on stderr is passed on. */
import { spawnSync } from 'node:child_process'

export function runJson<T>(command: string, args: readonly string[]): T {
  const { status, signal, stdout } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) throw new Error(`${command} ended with ${signal ?? status}`)
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as T
}
