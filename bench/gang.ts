/**
 * `npm run bench -- gang`: hurts a run that several hosts share, again and again, and compares what comes out with a run that nobody disturbed.
 *
 *   --faults N       faults drawn                                        [50]
 *   --seed N         draws the same ones again                           [1]
 *   --only A,B       faults whose names contain one of these             [all]
 *   --steps N        optimiser steps of each run                         [200]
 *   --minutes N      begin no fault after so long                        [60]
 *
 * Three hosts of one device each in network namespaces of this machine (as root), two of which share the run. Ctrl-C
 * ends it after the fault that is under way. Exit code 0 where others learnt of every loss within 6 s, nothing was left on
 * any host, records are there once, and every loss and the final weights are equal to the undisturbed ones in every bit.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { errorPayload, RankscopeError, runConfigSchema } from '@rankscope/protocol'
import { Cluster } from '../e2e/cluster.ts'
import { hostsMissing } from '../e2e/hosts.ts'
import { writeToyModel } from './chaos/toy-model.ts'
import { drawing, drawWeighted } from './draw.ts'
import { type GangFaultName, gangFaults } from './gang/faults.ts'
import { GangTrial, type Struck } from './gang/trial.ts'
import { machineLine } from './output/machine.ts'

function count(text: string | undefined, option: string, fallback: number): number {
  const value = text === undefined ? fallback : Number(text)
  if (Number.isInteger(value) && value >= 1) return value
  throw new RankscopeError('OPTION_INVALID', `${option} ${text}: a whole number from 1 on is needed`)
}

function chosenFaults(text: string | undefined): GangFaultName[] {
  const all = Object.keys(gangFaults) as GangFaultName[]
  const chosen = all.filter((name) => !text || text.split(',').some((part) => name.includes(part)))
  if (chosen.length > 0) return chosen
  throw new RankscopeError('OPTION_INVALID', `--only ${text}: no fault is called so`, {
    hint: all.join('; '),
  })
}

const checkpointEvery = 5

const config = (steps: number) =>
  runConfigSchema.parse({
    model: { path: 'toy' },
    data: { source: { kind: 'task', task: 'programs', trainExamples: 64 }, maxLength: 256 },
    method: { name: 'hd-pissa', rank: 2 },
    parallel: { devices: 2, mode: 'processes' },
    optimizer: { learningRate: 1e-3 },
    training: { globalBatchSize: 2, microBatchSize: 1, maxSteps: steps, epochs: 1000 },
    evaluation: { atEnd: false },
    spectra: { everySteps: null, atEnd: false },
    checkpoint: { everySteps: checkpointEvery, keep: 2 },
    export: { model: true },
    resources: { backend: 'wasm' },
  })

async function main(): Promise<number> {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    options: { faults: text, seed: text, only: text, steps: text, minutes: text },
  })
  const faults = count(values.faults, '--faults', 50)
  const steps = count(values.steps, '--steps', 200)
  const longestMs = count(values.minutes, '--minutes', 60) * 60_000
  const names = chosenFaults(values.only)
  const draw = drawing(count(values.seed, '--seed', 1))
  const missing = hostsMissing()
  if (missing) throw new RankscopeError('SETUP_MISSING', missing.replace('skipped: ', ''))
  const report = (line: string) => console.error(`${new Date().toTimeString().slice(0, 8)} ${line}`)
  let isOver = false
  process.on('SIGINT', () => {
    report('ends after this fault')
    isOver = true
  })
  const models = mkdtempSync(join(tmpdir(), 'rankscope-gang-'))
  await writeToyModel(join(models, 'toy'))
  const cluster = new Cluster('b', [1, 1, 1], { models: [models] })
  const started = performance.now()
  const struck: Struck[] = []
  let runs = 0
  const trial = new GangTrial(cluster, config(steps), draw, report)
  try {
    await cluster.start()
    const expected = await trial.undisturbed()
    report(`undisturbed: ${expected.losses.length} steps`)
    while (struck.length < faults && !isOver && performance.now() - started < longestMs) {
      const runId = await trial.launch()
      runs += 1
      for (
        let step = 0, starts = 0;
        struck.length < faults && !isOver && performance.now() - started < longestMs;
      ) {
        // Not so often in a row that the run is given up before its first checkpoint.
        const early = starts < 2 && draw.between(0, 1) < 0.25
        starts = early ? starts + 1 : 0
        const one = await trial.disturb(runId, drawWeighted(draw, gangFaults, names), step, early)
        if (one === null) break
        struck.push(one)
        report(`${struck.length}/${faults}`)
        // Not before the next checkpoint: five losses in a row without one are a failure.
        step = Math.min(
          (await cluster.api.run(runId)).step + checkpointEvery + draw.between(0, 20),
          steps - 1,
        )
      }
      const { attempt, state } = await trial.judge(runId, expected)
      report(`run ${runs}: ${state} in ${attempt} attempts, ${trial.findings.length} findings so far`)
    }
  } finally {
    await cluster.end()
    rmSync(models, { recursive: true, force: true })
  }
  console.log(machineLine('backend wasm'))
  console.log(
    '\n| fault | times | until no rank of the attempt was left: median, worst |\n| --- | --- | --- |',
  )
  for (const name of names) {
    const times = struck.filter(({ fault }) => fault === name)
    const learnt = times.flatMap(({ learntMs }) => learntMs ?? []).sort((a, b) => a - b)
    const seconds = (ms: number | undefined) => `${((ms ?? 0) / 1000).toFixed(1)} s`
    const told =
      learnt.length === 0
        ? ''
        : `${seconds(learnt[Math.floor(learnt.length / 2)])}, ${seconds(learnt.at(-1))}`
    if (times.length > 0) console.log(`| ${name} | ${times.length} | ${told} |`)
  }
  const minutes = ((performance.now() - started) / 60_000).toFixed(1)
  console.log(`\n${struck.length} faults, ${runs} runs in ${trial.attempts} attempts, ${minutes} minutes`)
  const { findings } = trial
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
