/** The sliding windows of a `config.json`: how far back the queries of each layer see. */
import { RankscopeError } from '@rankscope/protocol'
import { brokenConfig, type Family } from './config-keys.ts'

export interface SlidingWindow {
  /** Number of keys that a query sees in a sliding layer, itself included, or null where there is no such layer. */
  readonly slidingWindow: number | null
  /** Per layer: its queries see the sliding window alone. */
  readonly slidingLayers: readonly boolean[]
}

interface WindowFields {
  readonly model_type: Family
  readonly num_hidden_layers: number
  readonly sliding_window?: number | null | undefined
  readonly use_sliding_window?: boolean | null | undefined
  readonly max_window_layers?: number | null | undefined
  readonly layer_types?: readonly string[] | null | undefined
}

const defaultWindow = 4096
const defaultWindowLayers = 28

/**
 * Mistral's window holds in every layer; Qwen's where `layer_types` says so, or from `max_window_layers` upward, and only
 * when switched on. A window that is absent is 4096; one that is null is none.
 */
export function slidingWindow(fields: WindowFields, file: string): SlidingWindow {
  const layers = fields.num_hidden_layers
  const types = fields.layer_types?.map((type) => {
    if (type === 'full_attention' || type === 'sliding_attention') return type === 'sliding_attention'
    throw new RankscopeError('MODEL_UNSUPPORTED', `${file}: layer_types holds ${JSON.stringify(type)}`, {
      hint: 'Supported are full_attention and sliding_attention.',
    })
  })
  if (types && types.length !== layers)
    throw brokenConfig(file, `layer_types names ${types.length} layers, num_hidden_layers is ${layers}`)
  const window = fields.sliding_window === undefined ? defaultWindow : fields.sliding_window
  const of = (slidingLayers: readonly boolean[]) =>
    window !== null && slidingLayers.includes(true)
      ? { slidingWindow: window, slidingLayers }
      : { slidingWindow: null, slidingLayers: slidingLayers.map(() => false) }
  const every = (sliding: boolean) => Array.from({ length: layers }, () => sliding)
  const family = fields.model_type
  if (family === 'llama' || family === 'mistral') {
    const found = of(every(family === 'mistral'))
    if (types?.some((sliding, layer) => sliding !== found.slidingLayers[layer]))
      throw new RankscopeError(
        'MODEL_UNSUPPORTED',
        `${file}: layer_types asks for ${fields.layer_types?.join(', ')}; a ${family} model has one kind of attention in all layers`,
        {
          hint: `Take layer_types out of config.json if the model was trained as transformers computes ${family}.`,
        },
      )
    return found
  }
  if (!fields.use_sliding_window || window === null) {
    if (types?.includes(true))
      throw brokenConfig(
        file,
        `layer_types has sliding_attention, use_sliding_window is ${fields.use_sliding_window ?? false} and sliding_window ${window}`,
      )
    return of(every(false))
  }
  const from = fields.max_window_layers ?? defaultWindowLayers
  return of(types ?? every(false).map((_, layer) => layer >= from))
}

/** The keys that the family reads. */
export function formatWindow({
  modelType,
  slidingWindow,
  slidingLayers,
}: SlidingWindow & { modelType: Family }): object {
  if (modelType === 'llama') return {}
  if (modelType === 'mistral') return { sliding_window: slidingWindow }
  const first = slidingLayers.indexOf(true)
  return {
    layer_types: slidingLayers.map((sliding) => (sliding ? 'sliding_attention' : 'full_attention')),
    max_window_layers: first < 0 ? slidingLayers.length : first,
    sliding_window: slidingWindow,
    use_sliding_window: slidingWindow !== null,
  }
}
