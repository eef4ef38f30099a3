/** Views of runs and nodes: fetched once, then kept current by the live feed. */
import {
  commandBody,
  createRunsAnswer,
  nodesAnswer,
  type RunCommand,
  type RunConfig,
  type RunView,
  runsAnswer,
  runViewSchema,
} from '@rankscope/protocol'
import { queryOptions, useMutation, useQuery } from '@tanstack/react-query'
import { request, send } from './client.ts'

export const runsQuery = queryOptions({
  queryKey: ['runs'],
  queryFn: async ({ signal }) => {
    const runs: RunView[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const query: string = cursor === '' ? '' : `?cursor=${encodeURIComponent(cursor)}`
      const page = await request(`/runs${query}`, runsAnswer, { signal })
      runs.push(...page.runs)
      cursor = page.next
    }
    return runs.reverse()
  },
})
export const nodesQuery = queryOptions({
  queryKey: ['nodes'],
  queryFn: async ({ signal }) => (await request('/nodes', nodesAnswer, { signal })).nodes,
})

export function useRuns() {
  return useQuery(runsQuery)
}

export function useRun(runId: string): RunView | undefined {
  return useQuery({ ...runsQuery, select: (runs) => runs.find((run) => run.runId === runId) }).data
}

export function useNodes() {
  return useQuery(nodesQuery)
}

/** Create all of the runs or none. */
export function useCreateRuns() {
  return useMutation({
    mutationFn: async (configs: RunConfig[]) =>
      (await request('/runs', createRunsAnswer, { method: 'POST', body: { configs } })).runs,
  })
}

export async function sendCommand(runId: string, command: RunCommand): Promise<void> {
  await send(`/runs/${runId}/commands`, { method: 'POST', body: commandBody.parse({ command }) })
}

export async function deleteRun(runId: string): Promise<void> {
  await send(`/runs/${runId}`, { method: 'DELETE' })
}

export async function updateRun(runId: string, change: { name?: string; tags?: string[] }): Promise<RunView> {
  return request(`/runs/${runId}`, runViewSchema, { method: 'PATCH', body: change })
}
