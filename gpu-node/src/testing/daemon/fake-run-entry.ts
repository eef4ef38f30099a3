/** A run’s process for the daemon’s tests: does what the run’s name says instead of training. */

import { serveRun } from '../../daemon/run-child.ts'
import type { ExecuteRun, RunEnvironment } from '../../run/run.ts'

const execute: ExecuteRun = async (config, environment) => {
  const { emit } = environment
  emit({ kind: 'lifecycle', state: 'running', error: null })
  const [behaviour, argument] = (config.name ?? '').split(' ')
  switch (behaviour) {
    case 'steps':
      for (let step = 1; step <= Number(argument); step++) scalars(environment, step)
      break
    case 'until-asked':
      await untilAsked(environment)
      break
    case 'deaf':
      await new Promise((resolve) => setInterval(resolve, 1e9))
      break
    case 'throw':
      throw new Error('the tensor fell over')
    case 'exit':
      process.stderr.write('last words\n')
      process.exit(Number(argument))
      break
    case 'broken-record':
      emit({ kind: 'scalars', step: -1, values: {} })
      break
    case 'kept':
      for (let step = 1; step <= Number(argument); step++) scalars(environment, step)
      await environment.recordsKept!()
      process.kill(process.pid, 'SIGKILL')
      break
    case 'told':
      emit({ kind: 'log', level: 'info', message: JSON.stringify(environment) })
      break
    case 'flood':
      await flood(environment, Number(argument))
      break
    default:
      throw new Error(`unknown behaviour ${behaviour}`)
  }
  const state = environment.control.leave === 'stop' ? 'stopped' : 'finished'
  emit({ kind: 'lifecycle', state, error: null })
  return { state: 'stopped', steps: 0 }
}

function scalars({ emit }: RunEnvironment, step: number): void {
  emit({ kind: 'scalars', step, values: { 'train/loss': step % 2 === 0 ? Number.NaN : step } })
}

/** Emits a step per turn of the event loop until told to leave. */
async function untilAsked(environment: RunEnvironment): Promise<void> {
  for (let step = 1; environment.control.leave === null; step++) {
    if (step <= 100) scalars(environment, step)
    if (environment.control.takeCheckpointRequest())
      environment.emit({ kind: 'checkpoint', step, path: environment.folder, bytes: 0 })
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

async function flood({ emit }: RunEnvironment, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    emit({ kind: 'log', level: 'info', message: 'x'.repeat(10_000) })
    await new Promise((resolve) => setImmediate(resolve))
  }
}

serveRun(execute)
