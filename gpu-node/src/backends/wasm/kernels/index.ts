/** Registers the host kernels, with the composed ones for what is products alone. */
import { composedKernels, tensorWorkspace, tidied } from '../../../ops/composed/index.ts'
import { registerFusedKernels } from '../../../ops/registry.ts'
import { roundingOperands } from '../../../ops/rounded-operands.ts'
import { registerUpdateKernels } from '../../../ops/update.ts'
import { hostAttention } from './attention.ts'
import { hostCrossEntropy } from './cross-entropy.ts'
import type { HostMemory } from './memory.ts'
import { hostMora } from './mora.ts'
import { hostPointwise } from './pointwise.ts'
import { hostProducts } from './products.ts'
import { hostUpdates } from './update.ts'

export function registerHostKernels(backendName: string, memory: HostMemory): void {
  const host = {
    ...hostProducts(memory),
    ...hostPointwise(memory),
    ...hostMora(memory),
    ...hostAttention(memory),
    ...hostCrossEntropy(memory),
  }
  const kernels = roundingOperands({ ...composedKernels, ...host }, tensorWorkspace)
  registerFusedKernels(backendName, tidied(kernels))
  registerUpdateKernels(backendName, hostUpdates(memory))
}
