/** How much memory a run would take on a node, by that node's own reckoning: what the launch form shows before a start. */
import { z } from 'zod'

export const memoryEstimateSchema = z.strictObject({
  /** float32 weights of the model. */
  modelBytes: z.number(),
  /** The method's parameters, moments, constants. */
  stateBytes: z.number(),
  /** Gradients and what the update holds for a moment. */
  gradientBytes: z.number(),
  /** What a forward pass keeps for the backward pass, and a chunk of logits. */
  activationBytes: z.number(),
  /** The runtime, the data, buffers on their way. */
  baseBytes: z.number(),
  totalBytes: z.number(),
})
export type MemoryEstimate = z.infer<typeof memoryEstimateSchema>

export const memoryPlanSchema = z.strictObject({
  /** With every example as long as `data.maxLength` allows; an example of the data may be shorter. */
  most: memoryEstimateSchema,
  /** With examples of one token: what no data could make less. */
  leastBytes: z.number(),
  /** What the node offers. */
  availableBytes: z.number(),
})
export type MemoryPlan = z.infer<typeof memoryPlanSchema>

/** `tight`: long examples would not fit; `impossible`: no example would. */
export type MemoryVerdict = 'fits' | 'tight' | 'impossible'

export function memoryVerdict({ most, leastBytes, availableBytes }: MemoryPlan): MemoryVerdict {
  if (leastBytes > availableBytes) return 'impossible'
  return most.totalBytes > availableBytes ? 'tight' : 'fits'
}
