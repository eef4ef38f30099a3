/**
 * What no single field can know: settings that contradict one another (errors) and settings that would
 * have no effect with the others chosen (warnings). Pure; used by the form, the server and the CLI alike.
 */
import { benchmarkTitle } from './benchmark-names.ts'
import { RankscopeError } from './errors.ts'
import { effectiveAlpha, type MethodConfig } from './method-config.ts'
import { type RunConfig, requiredBackend } from './run-config.ts'

export type ConfigFinding = {
  severity: 'error' | 'warning'
  path: string
  message: string
  hint: string | null
}

/** Micro-batches per device and optimiser step: globalBatchSize / (microBatchSize · K), an integer. */
export function accumulationSteps(config: RunConfig): number {
  return config.training.globalBatchSize / (config.training.microBatchSize * config.parallel.devices)
}

export function checkRunConfig(config: RunConfig): ConfigFinding[] {
  const findings: ConfigFinding[] = []
  const error = (path: string, message: string, hint: string | null = null) =>
    findings.push({ severity: 'error', path, message, hint })
  const warning = (path: string, message: string, hint: string | null = null) =>
    findings.push({ severity: 'warning', path, message, hint })

  if (config.job.kind === 'evaluation') {
    checkBenchmarks(config.evaluation, error, warning)
    if (config.evaluation.benchmarks.length === 0)
      error('evaluation.benchmarks', 'there is nothing to evaluate by', 'name a benchmark and its file')
    if (config.parallel.mode === 'processes')
      error('parallel.mode', 'one process evaluates', 'set parallel.mode to virtual')
    return findings
  }
  if (config.data.source.kind === 'none')
    error('data.source', 'there is nothing to train on', 'name a task, a file or several')
  if (!Number.isInteger(accumulationSteps(config))) {
    const unit = config.training.microBatchSize * config.parallel.devices
    error(
      'training.globalBatchSize',
      `batch size ${config.training.globalBatchSize} is not a multiple of micro-batch ${config.training.microBatchSize} × ${config.parallel.devices} devices`,
      `take a multiple of ${unit}`,
    )
  }
  if (config.data.sampling === 'sequential' && config.training.maxSteps === null) {
    error(
      'training.maxSteps',
      'sequential sampling is an endless stream, so the run would never end',
      'give the number of steps',
    )
  }
  const { backend } = config.resources
  if (backend !== 'auto' && backend !== requiredBackend(config))
    error(
      'training.products',
      `${config.training.products} needs the backend ${requiredBackend(config)}, and resources.backend is ${backend}`,
      'multiply in float32, or leave the backend to auto',
    )
  if (config.checkpoint.keepBest && config.evaluation.everySteps === null)
    warning(
      'checkpoint.keepBest',
      'has no effect without evaluations during training: no checkpoint is known to be better than another',
      'evaluate every so many steps',
    )
  if (config.spectra.wait && config.spectra.everySteps === null)
    warning('spectra.wait', 'has no effect without live spectra', 'take spectra every so many steps')
  checkScore(config, error, warning)
  checkBenchmarks(config.evaluation, error, warning)
  if (config.data.reshuffle && !config.data.shuffle)
    warning('data.reshuffle', 'has no effect while shuffling is off')
  if (config.data.sampling === 'sequential' && config.data.remainder !== 'drop')
    warning('data.remainder', 'has no effect with sequential sampling: nothing is left over')
  if (
    config.schedule.warmupSteps !== null &&
    config.schedule.totalSteps !== null &&
    config.schedule.warmupSteps > config.schedule.totalSteps
  ) {
    error(
      'schedule.warmupSteps',
      `${config.schedule.warmupSteps} warm-up steps exceed the schedule’s ${config.schedule.totalSteps}`,
    )
  }
  if (config.schedule.totalSteps !== null && config.schedule.legacyTotalSteps)
    warning('schedule.legacyTotalSteps', 'has no effect beside an explicit schedule length')
  if (config.schedule.warmupSteps !== null && config.schedule.warmupRounding !== 'floor')
    warning('schedule.warmupRounding', 'has no effect beside an explicit number of warm-up steps')
  checkData(config.data, error, warning)
  if (
    config.method.name !== 'hd-pissa' &&
    config.optimizer.weightDecay > 0 &&
    config.method.name === 'lora-dwu'
  ) {
    warning('optimizer.weightDecay', 'decays W itself, since the method updates W directly')
  }
  if (config.parallel.mode === 'processes' && config.method.name === 'intermediate')
    error(
      'parallel.mode',
      'the intermediate method is defined for virtual devices only',
      'set parallel.mode to virtual',
    )
  if (config.parallel.regatherAdapters && config.method.name !== 'hd-pissa')
    warning('parallel.regatherAdapters', 'has no effect: only HD-PiSSA has adapters to gather')
  else if (config.parallel.regatherAdapters && config.parallel.mode === 'virtual')
    warning('parallel.regatherAdapters', 'has no effect with virtual devices, which exchange nothing')
  else if (config.parallel.regatherAdapters && config.parallel.devices === 1)
    warning('parallel.regatherAdapters', 'has no effect with one device')
  if (config.optimizer.epsilon === 0)
    warning('optimizer.epsilon', 'with ε = 0 an entry whose gradient is exactly zero becomes NaN')
  if (config.export.adapter && !hasAdapter(config))
    warning(
      'export.adapter',
      config.method.name === 'hd-pissa'
        ? 'has no effect without method.attribution, which keeps the first-order part'
        : 'has no effect: LoRA, DoRA, HiRA and PiSSA have an adapter, HD-PiSSA with attribution its first-order part',
    )
  const beside = config.method.name === 'full' && config.method.scope === 'all'
  for (const [path, asked] of [
    ['export.delta', config.export.delta],
    ['export.loraRank', config.export.loraRank !== null],
  ] as const)
    if (asked && beside)
      warning(path, 'holds the linear target modules only: embeddings, norms and biases were trained as well')
  checkMethod(config, config.method, error, warning)
  return findings
}

type Report = (path: string, message: string, hint?: string | null) => void

/** A score that is asked for needs something to score on; the evaluation at the end, which is on by default, may lack it. */
function checkScore({ data, evaluation }: RunConfig, error: Report, warning: Report): void {
  if (data.source.kind === 'none') return
  const sources = data.source.kind === 'mix' ? data.source.sources.map(({ source }) => source) : [data.source]
  const isGiven = sources.some(
    (source) => source.kind === 'task' || source.evaluationPath !== null || source.validationPath !== null,
  )
  if (isGiven || data.validationShare > 0 || evaluation.benchmarks.length > 0) return
  const scorer = sources
    .map((source) => (source.kind === 'records' ? source.scorer : 'exact'))
    .find((name) => name !== 'exact')
  const asking = [
    evaluation.atStart && 'evaluation.atStart',
    evaluation.everySteps !== null && 'evaluation.everySteps',
    evaluation.atEnd && scorer !== undefined && `the scorer ${scorer}`,
  ].filter((name) => name !== false)
  const hint =
    'name a test or validation file, hold back a validation share, or turn evaluation off (atStart, everySteps, atEnd)'
  if (asking.length > 0)
    error(
      'data.source.evaluationPath',
      `${asking.join(', ')} ${asking.length === 1 ? 'asks' : 'ask'} for a score, and there is nothing to score on`,
      hint,
    )
  else if (evaluation.atEnd)
    warning('evaluation.atEnd', 'there is nothing to evaluate on, so the run ends without a score', hint)
}

function checkBenchmarks(
  { benchmarks, sampling, atStart, atEnd, everySteps }: RunConfig['evaluation'],
  error: Report,
  warning: Report,
): void {
  const titles = benchmarks.map(({ name, protocol }) => benchmarkTitle(name, protocol))
  const twice = titles.find((title, index) => titles.indexOf(title) < index)
  if (twice !== undefined)
    error('evaluation.benchmarks', `${twice} is named twice`, 'name each benchmark once by a protocol')
  if (benchmarks.length > 0 && !atStart && !atEnd && everySteps === null)
    warning('evaluation.benchmarks', 'has no effect while evaluation is off (atStart, everySteps, atEnd)')
  if (
    benchmarks.some(
      ({ name, protocol, trainPath }) => trainPath !== null && !(name === 'gsm8k' && protocol === 'lm-eval'),
    )
  )
    warning('evaluation.benchmarks', 'a training split has no effect but for GSM8K by lm-eval')
  if (sampling === null) return
  if (!benchmarks.some(({ name }) => name === 'humaneval' || name === 'mbpp'))
    warning('evaluation.sampling', 'has no effect without HumanEval or MBPP: only programs are sampled')
  const { passAt, completions } = sampling
  if (passAt > completions)
    error(
      'evaluation.sampling.passAt',
      `pass@${passAt} needs at least ${passAt} completions, and there are ${completions}`,
      'sample more, or take a smaller k',
    )
}

function checkData(data: RunConfig['data'], error: Report, warning: Report): void {
  const { source } = data
  if (source.kind === 'tokens' && data.template !== 'alpaca')
    warning('data.template', 'has no effect on pre-tokenised data')
  if (source.kind === 'text' && data.template !== 'alpaca') warning('data.template', 'has no effect on text')
  if (source.kind === 'text' && data.packing) warning('data.packing', 'has no effect: text is always packed')
  const hasValidation =
    ('validationPath' in source && source.validationPath !== null) ||
    (source.kind === 'task' && source.validationExamples > 0)
  if (hasValidation && data.validationShare > 0)
    warning('data.validationShare', 'has no effect beside validation data of its own')
  if (data.validationShare === 0 && data.validationSeed !== 0)
    warning('data.validationSeed', 'has no effect without a validation share')
  if (source.kind !== 'mix') return
  const weights = source.sources.filter(({ weight }) => weight !== null).length
  if (weights > 0 && weights < source.sources.length)
    error(
      'data.source.sources',
      `${weights} of ${source.sources.length} sources have a weight`,
      'give every source a weight, or none',
    )
}

function checkMethod(config: RunConfig, method: MethodConfig, error: Report, warning: Report): void {
  const devices = config.parallel.devices
  if ('svdIterations' in method && method.svd === 'full' && method.svdIterations !== 16)
    warning('method.svdIterations', 'has no effect with the full SVD')
  if ('aggregate' in method && devices === 1 && method.aggregate === 'sum')
    warning('method.aggregate', 'sum and mean are the same with one device')
  switch (method.name) {
    case 'hd-pissa': {
      const alpha = effectiveAlpha(method)
      if (method.legacyFloorAlpha && Math.floor(alpha / method.rank) === 0) {
        error(
          'method.alpha',
          `alpha // r = ${alpha} // ${method.rank} = 0, so every gradient would be zero and nothing would train`,
          'take alpha ≥ r, or turn the floor division off',
        )
      }
      if (method.legacyFloorAlpha && method.alphaMode === 'none')
        warning('method.legacyFloorAlpha', 'has no effect when alpha is ignored')
      if (method.alphaMode === 'none' && method.alpha !== null)
        warning('method.alpha', 'has no effect with alpha mode none')
      if (method.dropoutMode === 'weight' && method.dropout === 0)
        warning('method.dropoutMode', 'has no effect without dropout')
      if (method.slices === 'shared-top' && method.clampRank)
        warning('method.clampRank', 'has no effect with shared slices: only r components are used')
      if (method.adapters === 'evolving' && method.attribution)
        error(
          'method.attribution',
          'first-order factors are defined for fixed adapters only',
          'use fixed adapters',
        )
      if (method.attribution && config.optimizer.weightDecay > 0)
        error(
          'method.attribution',
          'weight decay moves W beside the update, so that its parts would not add up',
          'set the weight decay to 0',
        )
      if (method.weightStorage === 'bfloat16' && method.compensated !== 'none')
        error(
          'method.weightStorage',
          'compensated accumulation keeps what storage in bfloat16 would lose',
          'set compensated to none, or store float32',
        )
      if (method.weightStorage === 'bfloat16')
        warning(
          'method.weightStorage',
          'changes below half a unit in the last place of bfloat16 (1/512 of a weight) are lost: for demonstration',
        )
      if (method.adapters === 'evolving' && method.slices === 'shared-top' && devices > 1)
        warning('method.slices', 'devices start from the same adapters and drift apart')
      if (method.mute !== 'exact' && method.dropout > 0)
        error('method.mute', 'a literal mute scalar cannot be combined with dropout', 'set dropout to 0')
      break
    }
    case 'intermediate':
      if (
        method.syncEvery !== null &&
        config.training.maxSteps !== null &&
        method.syncEvery > config.training.maxSteps
      )
        warning('method.syncEvery', 'is never reached before the run ends')
      break
    case 'lora-dwu':
      if (method.sharedInit && devices === 1) warning('method.sharedInit', 'has no effect with one device')
      break
    case 'full':
    case 'lora':
    case 'pissa':
    case 'dora':
    case 'mora':
    case 'hira':
      break
    default:
      method satisfies never
  }
}

/** Throw the first contradiction as a coded error; return the warnings. */
export function requireConsistent(config: RunConfig): ConfigFinding[] {
  const findings = checkRunConfig(config)
  const errors = findings.filter((finding) => finding.severity === 'error')
  if (errors.length > 0) {
    const hint = errors.map((finding) => finding.hint).find((text) => text !== null)
    throw new RankscopeError(
      'CONFIG_INVALID',
      errors.map((finding) => `${finding.path}: ${finding.message}`).join('; '),
      hint ? { hint } : {},
    )
  }
  return findings
}

/** Whether PEFT has a form for what the method trains. */
export function hasAdapter({ method }: Pick<RunConfig, 'method'>): boolean {
  switch (method.name) {
    case 'lora':
    case 'dora':
    case 'hira':
    case 'pissa':
      return true
    case 'hd-pissa':
      return method.attribution
    default:
      return false
  }
}
