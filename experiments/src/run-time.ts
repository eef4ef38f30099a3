/** How long runs will take, judged by earlier ones of the same shape. An estimate, and said to be one. Pure. */
import type { RunConfig, RunView } from '@rankscope/protocol'

export type TimeEstimate = {
  /** Of all runs one after the other. */
  seconds: number
  /** For how many of them nothing comparable has run; their share of `seconds` is the others’ mean. */
  unknown: number
  /** Earlier runs that it is judged by. */
  basedOn: number
}

/** What a step’s time depends on most. */
function shapeOf(config: RunConfig): string {
  const { method, parallel, training, data, model, spectra, resources } = config
  return JSON.stringify([
    model.path,
    method.name,
    'rank' in method ? method.rank : null,
    parallel.devices,
    parallel.mode,
    training.globalBatchSize,
    training.computeDtype,
    training.products,
    data.maxLength,
    spectra.everySteps,
    resources.backend,
  ])
}

type Earlier = Pick<RunView, 'config' | 'state' | 'step' | 'startedMs' | 'endedMs'>

/** `steps` of each configuration, where it can be known; null where no earlier run compares with any of them. */
export function estimateTime(
  planned: readonly { config: RunConfig; steps: number | null }[],
  earlier: readonly Earlier[],
): TimeEstimate | null {
  const perStep = new Map<string, number[]>()
  for (const { config, state, step, startedMs, endedMs } of earlier) {
    if (state !== 'finished' || step === 0 || startedMs === null || endedMs === null) continue
    const shape = shapeOf(config)
    perStep.set(shape, [...(perStep.get(shape) ?? []), (endedMs - startedMs) / 1000 / step])
  }
  let seconds = 0
  let known = 0
  const used = new Set<string>()
  for (const { config, steps } of planned) {
    const shape = shapeOf(config)
    const times = perStep.get(shape)
    if (!times || steps === null) continue
    seconds += median(times) * steps
    known++
    used.add(shape)
  }
  if (known === 0) return null
  const basedOn = [...used].reduce((sum, shape) => sum + perStep.get(shape)!.length, 0)
  return { seconds: (seconds / known) * planned.length, unknown: planned.length - known, basedOn }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
