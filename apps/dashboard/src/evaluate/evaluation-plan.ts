/** From what the page Evaluate asks for to the configuration of the job, or what is wrong with it. Pure. */
import {
  type ConfigFinding,
  checkRunConfig,
  type Remains,
  type RunConfig,
  type RunView,
  runConfigSchema,
} from '@rankscope/protocol'

/** A model that a node offers, or what a run left. */
export type Subject =
  | { readonly kind: 'model'; readonly path: string }
  | { readonly kind: 'run'; readonly run: RunView; readonly what: Remains['what']; readonly path: string }

/** Settings that the page shows; all others keep their defaults. */
export type EvaluationSettings = Pick<RunConfig, 'evaluation' | 'resources' | 'name'>

export function initialSettings(): EvaluationSettings {
  const { evaluation, resources, name } = configOf({ kind: 'model', path: 'any' }, {})
  return { evaluation: { ...evaluation, benchmarks: [] }, resources, name }
}

/** `config` is null where something is wrong; `findings` then say what. */
export function planEvaluation(
  subject: Subject | null,
  settings: unknown,
): { config: RunConfig | null; findings: ConfigFinding[] } {
  if (subject === null || subject.path === '')
    return { config: null, findings: [problem('model.path', 'name a model or a run')] }
  const parsed = runConfigSchema.safeParse(inputOf(subject, settings as Partial<EvaluationSettings>))
  if (!parsed.success)
    return {
      config: null,
      findings: parsed.error.issues.map(({ path, message }) => problem(path.map(String).join('.'), message)),
    }
  const findings = checkRunConfig(parsed.data)
  const isWrong = findings.some(({ severity }) => severity === 'error')
  return { config: isWrong ? null : parsed.data, findings }
}

function configOf(subject: Subject, settings: Partial<EvaluationSettings>): RunConfig {
  return runConfigSchema.parse(inputOf(subject, settings))
}

function inputOf(subject: Subject, settings: Partial<EvaluationSettings>): object {
  const data = { source: { kind: 'none' } }
  if (subject.kind === 'model')
    return {
      ...settings,
      job: { kind: 'evaluation' },
      model: { path: subject.path },
      data,
      method: { name: 'full' },
    }
  const { run, what, path } = subject
  const { model, method, parallel } = run.config
  return {
    ...settings,
    job: { kind: 'evaluation', of: { runId: run.runId, nodeId: run.nodeId, what, path } },
    model,
    data,
    method,
    parallel: { ...parallel, mode: 'virtual' },
  }
}

function problem(path: string, message: string): ConfigFinding {
  return { severity: 'error', path, message, hint: null }
}
