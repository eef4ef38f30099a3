/** Asks the online nodes, a moment after the last change, what the runs of the form would need. */
import { useDebouncedValue } from '@mantine/hooks'
import { estimateAnswer, type RunConfig } from '@rankscope/protocol'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { request } from '../api/client.ts'
import { distinctForMemory, type MemoryOutlook, memoryOutlook } from './memory-outlook.ts'

const settleMs = 300

export type AskedOutlook = MemoryOutlook & { configs: readonly RunConfig[] }

/** Null until a node has answered. `nodeIds`: the online ones; when they change, they are asked anew. */
export function useMemoryOutlook(
  configs: readonly RunConfig[],
  nodeIds: readonly string[],
): AskedOutlook | null {
  const distinct = useMemo(() => distinctForMemory(configs), [configs])
  const [settled] = useDebouncedValue(distinct, settleMs)
  const { data } = useQuery({
    queryKey: ['estimate', settled, nodeIds],
    queryFn: async ({ signal }) => {
      const options = { method: 'POST', body: { configs: settled }, signal } as const
      const answer = await request('/estimate', estimateAnswer, options)
      return { ...memoryOutlook(settled, answer), configs: settled }
    },
    enabled: settled.length > 0 && nodeIds.length > 0,
    // The figures of a moment ago hold the place of the new ones.
    placeholderData: keepPreviousData,
    staleTime: 60_000,
  })
  return configs.length === 0 ? null : (data ?? null)
}
