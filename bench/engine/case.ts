/**
 * Measures one case in a process of its own, by the real training loop: `case.ts '<StepCase as JSON>'` prints the result
 * as a line of JSON.
 */
import { methodConfigSchema } from '@rankscope/protocol'
import { matMul, ones } from '@tensorflow/tfjs-core'
import { runningCudaBackend } from '../../gpu-node/src/backends/cuda.ts'
import { selectBackend } from '../../gpu-node/src/backends/select.ts'
import { type Training, train } from '../../gpu-node/src/train/trainer.ts'
import type { CaseResult, StepCase } from './sizes.ts'
import { syntheticTraining } from './synthetic.ts'

const warmUpSteps = 3
const productSize = 1536

async function runCase(json: string): Promise<void> {
  const { size, method, devices, rank, threads, backend, steps, products, computeDtype } = JSON.parse(
    json,
  ) as StepCase
  const begun = performance.now()
  /** Where a case spends its time before the first step, on stderr. */
  const tell = (what: string) =>
    console.error(`  ${what} after ${((performance.now() - begun) / 1000).toFixed(1)} s`)
  const started = await selectBackend(backend as Parameters<typeof selectBackend>[0], { threads })
  tell('backend started')
  const config = methodConfigSchema.parse(method === 'full' ? { name: method } : { name: method, rank })
  const training = await syntheticTraining(size, config, devices, warmUpSteps + steps, {
    products,
    computeDtype,
  })
  tell('ready to train')
  const result = await measure(training, threads)
  tell('measured')
  console.log(JSON.stringify({ ...result, description: `${started.name}: ${started.description}` }))
}

async function measure(training: Training, threads: number): Promise<Omit<CaseResult, 'description'>> {
  const result = {
    wallMs: [] as number[],
    processorMs: [] as number[],
    peakWall: [] as number[],
    peakProcessor: [] as number[],
  }
  const ofProduct = productMeter(threads)
  ofProduct()
  let peak = ofProduct()
  let lap = stopwatch(threads)
  await train(training, 0, async ({ step, loss }) => {
    const { wallMs, processorMs } = lap()
    if (!Number.isFinite(loss)) throw new Error(`the loss became ${loss}`)
    if (step > warmUpSteps) {
      result.wallMs.push(wallMs)
      result.processorMs.push(processorMs)
      result.peakWall.push(peak.wall)
      result.peakProcessor.push(peak.processor)
    }
    peak = ofProduct()
    lap = stopwatch(threads)
    return 'continue'
  })
  const device = runningCudaBackend()?.memoryUse
  return {
    ...result,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    ...(device && { peakDeviceBytes: device.peakLiveBytes }),
  }
}

function stopwatch(threads: number): () => { wallMs: number; processorMs: number } {
  const start = performance.now()
  const used = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(used)
    return { wallMs: performance.now() - start, processorMs: (user + system) / 1000 / threads }
  }
}

/** GFLOP/s of two large products on the active backend. */
function productMeter(threads: number): () => { wall: number; processor: number } {
  const [a, b] = [ones([productSize, productSize]), ones([productSize, productSize])]
  return () => {
    const lap = stopwatch(threads)
    for (let i = 0; i < 2; i++) matMul(a, b).dispose()
    const { wallMs, processorMs } = lap()
    const gigaflops = (4 * productSize ** 3) / 1e6
    return { wall: gigaflops / wallMs, processor: gigaflops / processorMs }
  }
}

await runCase(process.argv[2] ?? '')
