/**
 * One RunConfig → one run that tells everything in records. The headless command line and the daemon's child process
 * call the same function.
 */
import { join } from 'node:path'
import {
  errorPayload,
  RankscopeError,
  type RecordBodyOf,
  type RunConfig,
  scalarNames,
} from '@rankscope/protocol'
import { checkpointPath } from '../checkpoint-folders.ts'
import { closeSpectra } from '../linalg/index.ts'
import { type CheckpointRules, joinCheckpoint, saveCheckpoint } from '../train/checkpoint.ts'
import { SkippedSpectra } from '../train/skipped-spectra.ts'
import { meanTailRatio, SpectraRecorder } from '../train/spectra.ts'
import { type StepReport, train, type Verdict } from '../train/trainer.ts'
import { roomOnDisk } from './disk-room.ts'
import type { RunEnvironment, RunOutcome } from './environment.ts'
import { evaluateOnly } from './evaluate-only.ts'
import { type EvaluationSplit, evaluate, evaluationFailure, hasSplit } from './evaluation.ts'
import { exportArtifacts } from './exports.ts'
import { computedBy, type PreparedRun, prepareRun } from './prepare.ts'
import { runRanks } from './ranks.ts'
import { evaluateStart } from './start-evaluation.ts'
import { timeLeft } from './time-left.ts'
import { untouchedLoss } from './untouched-text.ts'

export type { Roots, RunEnvironment, RunOutcome, RunRequest } from './environment.ts'
export { RunControl } from './environment.ts'

export type ExecuteRun = (config: RunConfig, environment: RunEnvironment) => Promise<RunOutcome>

/**
 * Runs `config` (complete, as parsed by runConfigSchema) to its end, or until `environment.control` says otherwise.
 * Never throws: a failure is the last record, `lifecycle` with state `failed` and a coded error, and the outcome.
 */
export const executeRun: ExecuteRun = async (config, environment) => {
  const trains = config.job.kind === 'training'
  if (trains && config.parallel.mode === 'processes' && !environment.collective)
    return runRanks(config, environment)
  const { emit } = environment
  const counted = { steps: 0 }
  emit({ kind: 'lifecycle', state: 'running', error: null })
  let outcome: RunOutcome
  try {
    outcome = trains
      ? await prepareAndRun(config, environment, counted)
      : await evaluateOnly(config, environment)
  } catch (error) {
    const payload = errorPayload(error)
    if (payload.code === 'INTERNAL' && error instanceof Error)
      emit({ kind: 'log', level: 'error', message: error.stack ?? error.message })
    // Whoever stops a run that waits for the disk is not to read that it failed.
    const isStopped = payload.code === 'DISK_FULL' && environment.control.leave === 'stop'
    outcome = isStopped
      ? { state: 'stopped', steps: counted.steps }
      : { state: 'failed', steps: counted.steps, error: payload }
  } finally {
    await closeSpectra()
  }
  emit({
    kind: 'lifecycle',
    state: outcome.state,
    error: outcome.state === 'failed' ? outcome.error : null,
  })
  return outcome
}

async function prepareAndRun(
  config: RunConfig,
  environment: RunEnvironment,
  counted: { steps: number },
): Promise<RunOutcome> {
  const prepared = await prepareRun(config, environment)
  const run = new Run(prepared, environment, counted)
  try {
    return await run.execute()
  } finally {
    await run.end()
    prepared.dispose()
  }
}

const evaluationNames = {
  validation: { loss: scalarNames.validationLoss, accuracy: scalarNames.validationAccuracy },
  test: { loss: scalarNames.evaluationLoss, accuracy: scalarNames.accuracy },
} as const

/** A prepared run under way. */
class Run {
  readonly #prepared: PreparedRun
  readonly #environment: RunEnvironment
  readonly #counted: { steps: number }
  readonly #spectra: SpectraRecorder
  readonly #skipped: SkippedSpectra
  #progress: PreparedRun['progress']
  #lastLoss: number | null = null
  readonly #lastEvaluation: Partial<Record<EvaluationSplit, RecordBodyOf<'evaluation'>>> = {}
  #lastCheckpoint: string | null = null
  /** The same on every rank: what rank 0 was asked, or what it met. */
  #leave: 'stop' | 'pause' | 'fail' | null = null
  /** NUMERIC of an evaluation, on rank 0. */
  #failure: RankscopeError | null = null
  /** When the present step began: training time leaves out what happens between steps. */
  #stepStartMs = 0
  #tokensHere = 0
  #secondsHere = 0
  /** Of the steps of this process; null where there is no other. */
  #received: { bytes: number; steps: number } | null = null

  constructor(prepared: PreparedRun, environment: RunEnvironment, counted: { steps: number }) {
    this.#prepared = prepared
    this.#environment = environment
    this.#counted = counted
    this.#progress = prepared.progress
    counted.steps = prepared.progress.step
    this.#skipped = new SkippedSpectra(prepared.progress.skippedSpectra)
    this.#spectra = new SpectraRecorder(
      prepared.config,
      prepared.adaptation,
      prepared.base,
      (record) => environment.emit(record),
      (message) => environment.emit({ kind: 'log', level: 'warning', message }),
      this.#skipped,
    )
  }

  async execute(): Promise<RunOutcome> {
    const { config, start, training, progress } = this.#prepared
    this.#environment.emit(start)
    if (config.evaluation.atStart && progress.step === 0 && this.#leads) {
      const result = await this.#evaluate(hasSplit(this.#prepared, 'test') ? 'test' : 'validation')
      this.#progress = { ...this.#progress, baseAccuracy: result?.accuracy ?? null }
    }
    if (progress.step === 0) {
      const baseUntouchedLoss = await this.#untouchedLoss()
      this.#progress = { ...this.#progress, baseUntouchedLoss }
    }
    await this.#hearRequests()
    if (this.#leave === null) {
      this.#enterTraining()
      await train(training, progress.step, (report) => this.#between(report))
    }
    const steps = this.#progress.step
    // After the last step too: what is left (evaluation, spectra, exports) may take long.
    if (this.#leave === 'pause') return this.#pause()
    if (this.#leave === null) await this.#evaluateEnd()
    if (this.#leave === 'fail') return this.#fail()
    // Every rank takes part: each holds the moments of its own device.
    if (this.#leave === null && config.checkpoint.atEnd && steps > 0) await this.#checkpointOnce()
    if (this.#leave === 'stop' || !this.#leads) return { state: 'stopped', steps }
    return this.#finish()
  }

  /** Every rank waits for the result: an evaluation that fails saves what all of them hold. */
  async #evaluateEnd(): Promise<void> {
    const { evaluation } = this.#prepared.config
    for (const split of ['validation', 'test'] as const)
      if (evaluation.atEnd && this.#leads && this.#lastEvaluation[split]?.step !== this.#progress.step)
        await this.#evaluate(split)
    await this.#hearRequests()
  }

  /** An evaluation met NaN or infinity. The weights are finite, which each step made sure of: they are kept. */
  async #fail(): Promise<RunOutcome> {
    const { step } = this.#progress
    if (step > 0) await this.#checkpointOnce()
    if (this.#failure) throw this.#failure
    return { state: 'stopped', steps: step }
  }

  /** Rank 0, or the only process: the one that looks at the weights, evaluates and writes. */
  get #leads(): boolean {
    return (this.#environment.collective?.rank ?? 0) === 0
  }

  /** Takes up what was requested meanwhile; true where a checkpoint was. All ranks hear what rank 0 was asked. */
  async #hearRequests(): Promise<boolean> {
    const { control, collective } = this.#environment
    const asked = control.takeCheckpointRequest()
    const own = this.#failure ? 'fail' : control.leave
    if (!collective) {
      this.#leave = own
      return asked
    }
    const codes = [null, 'stop', 'pause', 'fail'] as const
    const told = Float32Array.of(codes.indexOf(own), asked ? 1 : 0)
    const [leave = 0, checkpoint] = await collective.allGather(told)
    this.#leave = codes[leave] ?? null
    return checkpoint === 1
  }

  /** Lets go of what is still being computed, and says what is missing for it. */
  async end(): Promise<void> {
    await this.#spectra.abandon()
    this.#tellSkipped()
    const message = this.#skipped.sentence()
    if (message !== null) this.#environment.emit({ kind: 'log', level: 'warning', message })
  }

  /** Counts of spectra that were due and are not there, where they have grown. */
  #tellSkipped(): void {
    const values = this.#skipped.takeChanged()
    if (Object.keys(values).length === 0) return
    this.#environment.emit({ kind: 'scalars', step: this.#progress.step, values })
  }

  /** Where the run waits for its spectra and that takes a while, it says so. */
  async #recordSpectra(step: number): Promise<void> {
    const { emit } = this.#environment
    let isSaid = false
    const timer = setTimeout(() => {
      isSaid = true
      emit({ kind: 'phase', phase: 'measuring-spectra', progress: null, detail: `step ${step}` })
    }, 1000)
    try {
      await this.#spectra.record(step, this.#prepared.watched)
    } finally {
      clearTimeout(timer)
    }
    if (isSaid) this.#enterTraining()
    this.#tellSkipped()
  }

  /** What happens after each step: tell, look at ΔW, evaluate, save, obey. */
  async #between(report: StepReport): Promise<Verdict> {
    const { config, training } = this.#prepared
    const { step } = report
    this.#tellStep(report)
    if (report.failure) return 'leave'
    const due = (every: number | null) => every !== null && step % every === 0
    if (due(config.spectra.everySteps) && this.#leads) await this.#recordSpectra(step)
    if (due(config.evaluation.everySteps) && step < training.sampler.totalSteps && this.#leads) {
      // The test set is for the final score, where there is anything else to look at before.
      await this.#evaluate(this.#prepared.data.validation ? 'validation' : 'test')
      this.#enterTraining()
    }
    const asked = await this.#hearRequests()
    if (asked || due(config.checkpoint.everySteps)) {
      await this.#checkpoint()
      this.#enterTraining()
    }
    // Messages and finished spectra get their turn.
    await new Promise((resolve) => setImmediate(resolve))
    this.#stepStartMs = performance.now()
    return this.#leave === null ? 'continue' : 'leave'
  }

  /** A step that failed is told, so that charts show where, and does not count. */
  #tellStep(report: StepReport): void {
    const { step, loss, learningRate, gradNorm, updateNorm, tokens, epoch } = report
    const elapsedMs = performance.now() - this.#stepStartMs
    if (!report.failure) this.#count(report, elapsedMs)
    const { receivedBytes } = report
    const { stepsPerEpoch } = this.#prepared.training.sampler
    const values = {
      [scalarNames.trainLoss]: loss,
      [scalarNames.learningRate]: learningRate,
      [scalarNames.gradNorm]: gradNorm,
      ...(updateNorm !== null && { [scalarNames.updateNorm]: updateNorm }),
      [scalarNames.tokensPerSecond]: tokens / (elapsedMs / 1000),
      [scalarNames.stepTimeMs]: elapsedMs,
      [scalarNames.tokens]: this.#progress.tokens,
      [scalarNames.epoch]: Math.min(step / stepsPerEpoch, epoch + 1),
      [scalarNames.residentMemoryBytes]: process.memoryUsage.rss(),
      ...(receivedBytes !== null && { [scalarNames.receivedBytes]: receivedBytes }),
    }
    this.#environment.emit({ kind: 'scalars', step, values })
  }

  #count({ step, loss, tokens, receivedBytes }: StepReport, elapsedMs: number): void {
    const { tokens: before, trainingSeconds } = this.#progress
    this.#progress = {
      ...this.#progress,
      step,
      tokens: before + tokens,
      trainingSeconds: trainingSeconds + elapsedMs / 1000,
    }
    this.#counted.steps = step
    this.#tokensHere += tokens
    this.#secondsHere += elapsedMs / 1000
    this.#lastLoss = loss
    if (receivedBytes !== null)
      this.#received = {
        bytes: (this.#received?.bytes ?? 0) + receivedBytes,
        steps: (this.#received?.steps ?? 0) + 1,
      }
  }

  async #evaluate(split: EvaluationSplit): Promise<RecordBodyOf<'evaluation'> | null> {
    const { step } = this.#progress
    const { emit } = this.#environment
    const result =
      step === 0
        ? await evaluateStart(this.#prepared, split, this.#environment)
        : await evaluate(this.#prepared, step, split, emit)
    if (!result) return null
    this.#lastEvaluation[split] = result
    if (!Number.isFinite(result.loss ?? 0)) this.#failure = evaluationFailure(this.#prepared, result)
    const names = evaluationNames[split]
    const values = {
      ...(result.loss !== null && { [names.loss]: result.loss }),
      ...(result.accuracy !== null && { [names.accuracy]: result.accuracy }),
      ...(result.meanAccuracy !== undefined &&
        split === 'test' && { [scalarNames.meanAccuracy]: result.meanAccuracy }),
    }
    emit({ kind: 'scalars', step, values })
    return result
  }

  /** On the text for forgetting; null where there is none, and on the ranks that do not lead. */
  async #untouchedLoss(): Promise<number | null> {
    const { untouched } = this.#prepared
    if (untouched === null || !this.#leads) return null
    const { step } = this.#progress
    const { emit } = this.#environment
    emit({ kind: 'phase', phase: 'evaluating', progress: null, detail: `step ${step}, text for forgetting` })
    const loss = await untouchedLoss(this.#prepared, untouched)
    emit({ kind: 'scalars', step, values: { [scalarNames.untouchedLoss]: loss } })
    return loss
  }

  async #checkpoint(): Promise<string> {
    const { config, state } = this.#prepared
    const { emit, folder } = this.#environment
    const progress = { ...this.#progress, skippedSpectra: this.#skipped.counts }
    const { step } = progress
    emit({ kind: 'phase', phase: 'checkpointing', progress: null, detail: `step ${step}` })
    const place = join(folder, 'checkpoints')
    // Every rank takes part in reading, since each holds the moments of its own device, and knows what is saved.
    if (this.#leads) {
      const saved = await saveCheckpoint(place, state, config, progress, {
        rules: this.#checkpointRules(),
        computedBy: computedBy(this.#prepared.backend),
        score: this.#lastEvaluation.validation ?? this.#lastEvaluation.test ?? null,
        room: roomOnDisk(this.#environment),
        beforeNaming: async () => this.#environment.recordsKept?.(),
      })
      emit({ kind: 'checkpoint', step, ...saved })
    } else {
      await joinCheckpoint(state)
    }
    this.#lastCheckpoint = checkpointPath(place, step)
    return this.#lastCheckpoint
  }

  #checkpointRules(): CheckpointRules {
    const { formerPlaces = [], keepAtMost = Number.POSITIVE_INFINITY } = this.#environment
    const { keep, keepBest, maxGib } = this.#prepared.config.checkpoint
    return {
      keep: Math.min(keep, keepAtMost),
      keepBest,
      maxBytes: maxGib === null ? null : maxGib * 2 ** 30,
      formerPlaces,
      startStep: this.#prepared.progress.step,
    }
  }

  /** The checkpoint of this step, written now unless it is there. */
  async #checkpointOnce(): Promise<string> {
    const path = checkpointPath(join(this.#environment.folder, 'checkpoints'), this.#progress.step)
    return this.#lastCheckpoint === path ? path : this.#checkpoint()
  }

  async #pause(): Promise<RunOutcome> {
    const { step } = this.#progress
    const checkpoint = await this.#checkpointOnce()
    await this.#spectra.settle()
    return { state: 'paused', steps: step, checkpoint }
  }

  async #finish(): Promise<RunOutcome> {
    const { config, targets } = this.#prepared
    const { emit, control } = this.#environment
    const { step } = this.#progress
    const { validation, test } = this.#lastEvaluation
    const untouched = await this.#untouchedLoss()
    const { baseUntouchedLoss } = this.#progress
    emit({ kind: 'phase', phase: 'measuring-spectra', progress: 0, detail: null })
    await this.#spectra.settle()
    const { collective, threads } = this.#environment
    const own = collective ? threads : (config.resources.threads ?? threads)
    // One at a time where a GPU decomposes: it takes one after the other anyway.
    const workers = this.#prepared.backend.freeMemoryBytes === undefined ? own : 1
    const startMs = performance.now()
    const progress = (done: number) =>
      emit({
        kind: 'phase',
        phase: 'measuring-spectra',
        progress: done,
        detail: timeLeft(done, performance.now() - startMs),
      })
    const spectra = config.spectra.atEnd
      ? await this.#spectra.recordFinal(step, targets, workers, progress)
      : []
    if (control.leave === 'stop') return { state: 'stopped', steps: step }
    await this.#export()
    emit({ kind: 'phase', phase: 'finishing', progress: 1, detail: null })
    const mean = (pick: (entry: (typeof spectra)[number]) => number, entries = spectra) =>
      entries.length === 0 ? null : entries.reduce((sum, entry) => sum + pick(entry), 0) / entries.length
    // A ΔW of zero has no distribution of singular values, and so no such rank.
    const changed = spectra.filter(({ result }) => result.frobenius > 0)
    const summary: RecordBodyOf<'summary'> = {
      kind: 'summary',
      steps: step,
      finalLoss: this.#lastLoss,
      evaluationLoss: test?.loss ?? null,
      accuracy: test?.accuracy ?? null,
      ...(test?.meanAccuracy !== undefined && { meanAccuracy: test.meanAccuracy }),
      ...(validation?.meanAccuracy !== undefined && { validationMeanAccuracy: validation.meanAccuracy }),
      ...(untouched !== null && {
        untouchedLoss: untouched,
        forgetting: baseUntouchedLoss === null ? null : untouched - baseUntouchedLoss,
      }),
      ...(validation && { validationLoss: validation.loss, validationAccuracy: validation.accuracy }),
      baseAccuracy: this.#progress.baseAccuracy,
      effectiveRank: mean(({ result }) => result.measures.effectiveRank, changed),
      stableRank: mean(({ result }) => result.measures.stableRank, changed),
      numericalRank: mean(({ result }) => result.measures.numericalRank),
      frobenius: mean(({ result }) => result.frobenius),
      tailRatio: meanTailRatio(config, spectra),
      trainableParameters: this.#prepared.adaptation.trainableParameters,
      tokens: this.#progress.tokens,
      tokensPerSecond: this.#secondsHere > 0 ? this.#tokensHere / this.#secondsHere : null,
      trainingSeconds: this.#progress.trainingSeconds,
      ...(this.#received && { receivedBytesPerStep: this.#received.bytes / this.#received.steps }),
    }
    emit(summary)
    return { state: 'finished', steps: step, summary }
  }

  /** What cannot be exported for its numbers is kept as a checkpoint: the weights that were trained are finite. */
  async #export(): Promise<void> {
    try {
      await exportArtifacts(this.#prepared, this.#environment)
    } catch (error) {
      const isNumeric = error instanceof RankscopeError && error.code === 'NUMERIC'
      // Where devices are processes the others have left, and with them what each of them holds.
      if (isNumeric && !this.#environment.collective) await this.#checkpointOnce()
      throw error
    }
  }

  #enterTraining(): void {
    const { step } = this.#progress
    const progress = step / this.#prepared.training.sampler.totalSteps
    this.#environment.emit({ kind: 'phase', phase: 'training', progress, detail: null })
    this.#stepStartMs = performance.now()
  }
}
