/** Asks the online nodes, a moment after the last change, what the runs of the form would need. */
import { useDebouncedValue } from '@mantine/hooks'
import { estimateAnswer, type NodeView, type RunConfig } from '@rankscope/protocol'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { request } from '../api/client.ts'
import { distinctForMemory, type MemoryOutlook, memoryOutlook } from './memory-outlook.ts'

const settleMs = 300

export type AskedOutlook = MemoryOutlook & { configs: readonly RunConfig[] }

/** Null until a node has answered. `nodes`: the online ones; when one of them, or what it holds, changes, all are asked anew. */
export function useMemoryOutlook(
  configs: readonly RunConfig[],
  nodes: readonly Pick<NodeView, 'nodeId' | 'mode' | 'runIds'>[],
): AskedOutlook | null {
  const distinct = useMemo(() => distinctForMemory(configs), [configs])
  const [settled] = useDebouncedValue(distinct, settleMs)
  const room = nodes.map(({ nodeId, mode, runIds }) => [nodeId, mode, ...runIds])
  const { data } = useQuery({
    queryKey: ['estimate', settled, room],
    queryFn: async ({ signal }) => {
      const options = { method: 'POST', body: { configs: settled }, signal } as const
      const answer = await request('/estimate', estimateAnswer, options)
      return { ...memoryOutlook(settled, answer), configs: settled }
    },
    enabled: settled.length > 0 && nodes.length > 0,
    // The figures of a moment ago hold the place of the new ones.
    placeholderData: keepPreviousData,
    staleTime: 60_000,
  })
  return configs.length === 0 ? null : (data ?? null)
}
