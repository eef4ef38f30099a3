/** Runs a program of the benchmark to its end and reads the last line that it prints. */
import { spawnSync } from 'node:child_process'

export function runJson<T>(command: string, args: readonly string[]): T {
  const { status, signal, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  })
  if (status !== 0) throw new Error(`${command} ended with ${signal ?? status}\n${stderr}`)
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as T
}
