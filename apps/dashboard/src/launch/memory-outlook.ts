/** What the nodes said about the memory of the runs to be launched, as rows and findings for the summary. Pure. */
import { type EstimateAnswer, type MemoryPlan, memoryVerdict, type RunConfig } from '@rankscope/protocol'
import { formatBytes } from '../common/format.ts'
import type { Finding } from './draft.ts'

export type MemoryRow = {
  /** Place in the list of configurations that was asked about. */
  index: number
  nodeName: string
  plan: MemoryPlan
}

export type MemoryOutlook = {
  /** One per run that some node could take, on the node with the most room. */
  rows: readonly MemoryRow[]
  findings: readonly Finding[]
  /** By configuration: where its devices would go now, or what it would wait for. */
  placements: EstimateAnswer['placements']
}

/** Configurations that differ only in what memory does not depend on are asked about once. */
export function distinctForMemory(configs: readonly RunConfig[]): RunConfig[] {
  const distinct = new Map<string, RunConfig>()
  for (const config of configs) {
    const { name: _name, group: _group, tags: _tags, seed: _seed, ...rest } = config
    const key = JSON.stringify(rest)
    if (!distinct.has(key)) distinct.set(key, config)
  }
  return [...distinct.values()]
}

export function memoryOutlook(configs: readonly RunConfig[], answer: EstimateAnswer): MemoryOutlook {
  const rows: MemoryRow[] = []
  const findings: Finding[] = []
  configs.forEach((config, index) => {
    const method = config.method.name
    const candidates = answer.nodes.flatMap(({ name, plans }) => {
      const plan = plans[index]?.memory
      return plan ? [{ index, nodeName: name, plan }] : []
    })
    const roomiest = candidates.sort((a, b) => room(b.plan) - room(a.plan))[0]
    if (roomiest) {
      rows.push(roomiest)
      const finding = memoryFinding(roomiest)
      if (finding) findings.push({ ...finding, method })
      return
    }
    const refusal = answer.nodes.map(({ plans }) => plans[index]?.error).find((error) => error)
    if (refusal)
      findings.push({
        severity: 'warning',
        path: 'model.path',
        message: `no online node can run this now: ${refusal.message}`,
        hint: refusal.hint,
        method,
      })
  })
  return { rows, findings, placements: answer.placements }
}

const room = ({ availableBytes, most }: MemoryPlan) => availableBytes - most.totalBytes

function memoryFinding({ nodeName, plan }: MemoryRow): Omit<Finding, 'method'> | null {
  const { most, leastBytes, availableBytes } = plan
  const offer = `${nodeName} offers ${formatBytes(availableBytes)}`
  switch (memoryVerdict(plan)) {
    case 'fits':
      return null
    case 'tight':
      return {
        severity: 'warning',
        path: 'training.microBatchSize',
        message: `needs up to ${formatBytes(most.totalBytes)} where examples have the maximum length; ${offer}`,
        hint: 'lower the micro-batch or the maximum length, or switch gradient checkpointing on',
      }
    case 'impossible':
      return {
        severity: 'error',
        path: 'method',
        message: `needs at least ${formatBytes(leastBytes)}; ${offer}`,
        hint: 'lower the rank or the devices, or take another method or a smaller model',
      }
  }
}
