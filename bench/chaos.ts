/**
 * `npm run bench -- chaos`: kills and freezes server, daemon, runs and the link between them, and compares what is kept with runs that nobody disturbed.
 *
 *   --faults N       kills, freezes and cuts drawn                       [200]
 *   --seed N         draws the same ones again                           [1]
 *   --sleeps N       times that all processes sleep at once              [2]
 *   --sleep N        seconds of each such sleep                          [60]
 *   --steps N        optimiser steps of each run                         [200]
 *   --methods A,B    of lora, hd-pissa, full                             [all three]
 *   --minutes N      begin no fault after so long                        [45]
 *
 * Everything happens on this machine, on loopback, in a temporary folder. Exit code 0 where nothing was lost, doubled,
 * reordered or left over, every run has finished, and every loss is equal to the undisturbed one in every bit.
 */
import { parseArgs } from 'node:util'
import { errorPayload, RankscopeError } from '@rankscope/protocol'
import { methods, runTrial, type TrialMethod } from './chaos/trial.ts'
import { machineLine } from './output/machine.ts'

function count(text: string | undefined, option: string, fallback: number): number {
  const value = text === undefined ? fallback : Number(text)
  if (Number.isInteger(value) && value >= 0) return value
  throw new RankscopeError('OPTION_INVALID', `${option} ${text}: a whole number is needed`)
}

function chosenMethods(text: string | undefined): TrialMethod[] {
  const names = text === undefined ? Object.keys(methods) : text.split(',')
  for (const name of names)
    if (!(name in methods))
      throw new RankscopeError('OPTION_INVALID', `--methods: there is no ${name}`, {
        hint: `choose from ${Object.keys(methods).join(', ')}`,
      })
  return names as TrialMethod[]
}

async function main(): Promise<number> {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    options: {
      faults: text,
      seed: text,
      sleeps: text,
      sleep: text,
      steps: text,
      methods: text,
      minutes: text,
    },
  })
  const started = performance.now()
  const result = await runTrial({
    seed: count(values.seed, '--seed', 1),
    faults: count(values.faults, '--faults', 200),
    kinds: null,
    sleeps: count(values.sleeps, '--sleeps', 2),
    sleepMs: count(values.sleep, '--sleep', 60) * 1000,
    pauseMs: { least: 200, most: 3000 },
    methods: chosenMethods(values.methods),
    steps: count(values.steps, '--steps', 200),
    longestMs: count(values.minutes, '--minutes', 45) * 60_000,
    report: (line) => console.error(`${new Date().toTimeString().slice(0, 8)} ${line}`),
  })
  console.log(machineLine('backend wasm, one thread per run'))
  console.log(`\n| fault | times |\n| --- | --- |`)
  for (const [name, times] of result.counts) console.log(`| ${name} | ${times} |`)
  const minutes = ((performance.now() - started) / 60_000).toFixed(1)
  const { runs, attempts, records, retries, findings } = result
  console.log(
    `\n${runs} runs in ${attempts} attempts (${retries} tried again after their process was killed), ${records} records, ${minutes} minutes`,
  )
  console.log(
    findings.length === 0 ? 'nothing wrong' : `${findings.length} findings:\n${findings.join('\n')}`,
  )
  return findings.length === 0 ? 0 : 1
}

try {
  process.exitCode = await main()
} catch (error) {
  const { code, message, hint } = errorPayload(error)
  console.error(`${code}: ${message}${hint === null ? '' : `\n  hint: ${hint}`}`)
  if (error instanceof Error && code === 'INTERNAL') console.error(error.stack)
  process.exitCode = 2
}
