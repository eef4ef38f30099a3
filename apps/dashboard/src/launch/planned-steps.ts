/** How many optimiser steps a configuration will take, where that follows from it alone. Pure. */
import { accumulationSteps, type RunConfig } from '@rankscope/protocol'

/** null where it depends on a file. Incomplete batches at an epoch’s end are dropped unless the data says otherwise. */
export function plannedSteps(config: RunConfig): number | null {
  const { epochs, maxSteps, microBatchSize } = config.training
  const { source, limit, sampling, remainder } = config.data
  if (source.kind !== 'task' || sampling === 'sequential') return maxSteps
  const examples = Math.min(source.trainExamples, limit ?? Number.POSITIVE_INFINITY)
  const perDevice = Math.ceil(examples / config.parallel.devices)
  const microBatches = Math.floor(perDevice / microBatchSize)
  const round = remainder === 'step' ? Math.ceil : Math.floor
  const steps =
    remainder === 'leak'
      ? Math.floor((epochs * microBatches) / accumulationSteps(config))
      : epochs * round(microBatches / accumulationSteps(config))
  return maxSteps === null ? steps : Math.min(maxSteps, steps)
}
