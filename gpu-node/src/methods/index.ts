/** The methods by name, and attaching one to a model. */
import type { MethodConfig, MethodName } from '@rankscope/protocol'
import { dora } from './dora.ts'
import { full } from './full.ts'
import { hdPissa } from './hd-pissa.ts'
import { hira } from './hira.ts'
import { intermediate } from './intermediate.ts'
import { lora } from './lora.ts'
import { loraDwu } from './lora-dwu.ts'
import type { Adaptation, AttachContext, MemoryNeed, Method, ModuleShape } from './method.ts'
import { mora } from './mora.ts'
import { pissa } from './pissa.ts'

export const methods = {
  full,
  lora,
  pissa,
  'hd-pissa': hdPissa,
  dora,
  mora,
  hira,
  'lora-dwu': loraDwu,
  intermediate,
} satisfies { [N in MethodName]: Method<N> }

/** The method of a configuration, which it fits by construction. */
function methodOf(config: MethodConfig): Method<MethodName> {
  return methods[config.name] as Method<MethodName>
}

/** Freezes the whole model, then attaches the method, which thaws what it trains. */
export async function attachMethod(config: MethodConfig, context: AttachContext): Promise<Adaptation> {
  for (const weight of context.model.weights.values()) weight.trainable = false
  return methodOf(config).attach(config, context)
}

export function methodMemory(config: MethodConfig, shape: ModuleShape, devices: number): MemoryNeed {
  return methodOf(config).memory(config, shape, devices)
}

export function trainableParameterCount(config: MethodConfig, shape: ModuleShape): number {
  return methodOf(config).parameterCount(config, shape)
}

export function trainsWholeModel(config: MethodConfig): boolean {
  return methodOf(config).trainsWholeModel?.(config) ?? false
}

/** 0 for methods without adapters to regather. */
export function regatheredFloats(config: MethodConfig, shape: ModuleShape, devices: number): number {
  return methodOf(config).regatheredFloats?.(config, shape, devices) ?? 0
}
