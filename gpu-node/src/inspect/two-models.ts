/** The difference of two model folders of one architecture, linear weight by linear weight. */
import { RankscopeError } from '@rankscope/protocol'
import type { ModelFolder } from '../model/folder.ts'
import { linearNames, targetModulePaths } from '../model/parameters.ts'
import type { Changes } from './changes.ts'

/** ΔW = `model` − `base`. Throws MODEL_UNSUPPORTED where their linear layers differ in number or shape. */
export function compareModels(model: ModelFolder, base: ModelFolder): Changes {
  const specs = new Map(model.specs.map((spec) => [spec.name, spec]))
  const bases = new Map(base.specs.map((spec) => [spec.name, spec]))
  const names = targetModulePaths(model.config, linearNames)
  if (model.config.layers !== base.config.layers)
    throw new RankscopeError(
      'MODEL_UNSUPPORTED',
      `${model.folder} has ${model.config.layers} layers, ${base.folder} has ${base.config.layers}`,
      { hint: 'Give the model that the other one was trained from.' },
    )
  const modules = names.map((name) => {
    const [spec, other] = [specs.get(`${name}.weight`)!, bases.get(`${name}.weight`)!]
    if (spec.shape.join() !== other.shape.join())
      throw new RankscopeError(
        'MODEL_UNSUPPORTED',
        `${name} is [${spec.shape}] in ${model.folder}, [${other.shape}] in ${base.folder}`,
        { hint: 'Give the model that the other one was trained from.' },
      )
    const [rows, columns] = spec.shape as [number, number]
    return {
      name,
      rows,
      columns,
      rank: null,
      base: () => base.read(other),
      delta: (before: Float32Array | null) => ({
        kind: 'dense' as const,
        rows,
        columns,
        after: model.read(spec),
        before,
      }),
    }
  })
  return { title: 'difference of two models', modules, notes: [] }
}
