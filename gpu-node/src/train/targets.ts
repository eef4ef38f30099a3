/** The linear layers that a configuration adapts, and those that it watches while training. */
import { RankscopeError, type RunConfig } from '@rankscope/protocol'
import type { TargetModule } from '../methods/method.ts'
import type { Model } from '../model/model.ts'
import { modulePath, targetModulePaths } from '../model/parameters.ts'

export function targetsOf(model: Model, config: Pick<RunConfig, 'targetModules'>): TargetModule[] {
  return targetModulePaths(model.config, config.targetModules).map((name) => {
    const weight = model.weight(`${name}.weight`)
    const [rows, columns] = weight.shape as [number, number]
    return { name, rows, columns, weight, bias: model.weights.get(`${name}.bias`) }
  })
}

/**
 * The targets whose spectra are shown live: those named, or q_proj and down_proj of the first, middle and last layer as
 * far as they are targets. Throws CONFIG_INVALID for a name that is no target.
 */
export function watchedTargets(
  targets: readonly TargetModule[],
  layers: number,
  named: readonly string[] | null,
): TargetModule[] {
  if (named === null) {
    const chosen = new Set(
      [0, Math.floor(layers / 2), layers - 1].flatMap((layer) => [
        modulePath(layer, 'q_proj'),
        modulePath(layer, 'down_proj'),
      ]),
    )
    const found = targets.filter(({ name }) => chosen.has(name))
    return found.length > 0 ? found : targets.slice(0, 1)
  }
  return named.map((name) => {
    const target = targets.find((candidate) => candidate.name === name)
    if (target) return target
    throw new RankscopeError('CONFIG_INVALID', `spectra.modules: ${name} is no target module of this run`, {
      hint: `Target modules are named like ${targets[0]?.name ?? modulePath(0, 'q_proj')}.`,
    })
  })
}
