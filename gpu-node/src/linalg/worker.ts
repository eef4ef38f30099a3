/** The worker thread of the pool: one request at a time, computed with this thread's own linear algebra. */
import { parentPort, workerData } from 'node:worker_threads'
import { errorPayload } from '@rankscope/protocol'
import { giveWayToOwnProcess } from '../priority.ts'
import { WatchedBases } from './against-base/watched-bases.ts'
import type {
  AnalysedSpectrum,
  Job,
  Reply,
  Request,
  SpectrumJob,
  TopSvdJob,
  TopSvdOutcome,
  WorkerSettings,
} from './messages.ts'
import { selectLinearAlgebra } from './select.ts'
import { spectrum } from './spectrum.ts'
import { cacheEntry } from './svd-cache.ts'
import { topSvd } from './top-svd.ts'

class Cancelled extends Error {}

const port = parentPort!
const settings = workerData as WorkerSettings
if (settings.lowPriority) giveWayToOwnProcess()
const { algebra } = selectLinearAlgebra()
algebra.setThreads(settings.threads)
const watched = new WatchedBases(algebra)

port.on('message', ({ job, cancelled }: Request) => {
  const { reply, transfer } = answer(job, () => {
    if (Atomics.load(cancelled, 0) !== 0) throw new Cancelled()
  })
  port.postMessage(reply, transfer)
})

function answer(job: Job, checkpoint: () => void): { reply: Reply; transfer: ArrayBuffer[] } {
  try {
    checkpoint()
    const outcome = compute(job, checkpoint)
    const arrays = 'singularValues' in outcome ? [outcome.singularValues] : [outcome.u, outcome.s, outcome.v]
    const buffers = new Set(arrays.map((array) => array.buffer as ArrayBuffer))
    return { reply: { status: 'done', outcome }, transfer: [...buffers] }
  } catch (error) {
    if (error instanceof Cancelled) return { reply: { status: 'cancelled' }, transfer: [] }
    return { reply: { status: 'failed', error: errorPayload(error) }, transfer: [] }
  }
}

function compute(job: Job, checkpoint: () => void): TopSvdOutcome | AnalysedSpectrum {
  switch (job.kind) {
    case 'top-svd':
      return computeTopSvd(job, checkpoint)
    case 'spectrum':
      return computeSpectrum(job, checkpoint)
    default:
      return job satisfies never
  }
}

function computeSpectrum({ source, against }: SpectrumJob, checkpoint: () => void): AnalysedSpectrum {
  const found = spectrum(algebra, source, () => performance.now())
  if (!against) return { ...found, analysis: null }
  checkpoint()
  const start = performance.now()
  const analysis = watched.analyse(source, against)
  return { ...found, analysis: { ...analysis, elapsedMs: performance.now() - start } }
}

function computeTopSvd(job: TopSvdJob, checkpoint: () => void): TopSvdOutcome {
  const entry = job.cache && cacheEntry(job.cache, { ...job, algebra: algebra.name })
  const cached = entry?.read()
  if (cached) return { ...cached, fromCache: true, cacheProblem: null }
  checkpoint()
  const result = topSvd(algebra, job.w, job, job.options, checkpoint)
  const cacheProblem = entry?.write(result) ?? null
  return { ...result, fromCache: false, cacheProblem }
}
