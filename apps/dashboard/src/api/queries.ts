/** Views of runs and nodes: fetched once, then kept current by the live feed. */
import {
  commandBody,
  createRunsAnswer,
  moveBody,
  type NodeMode,
  type NodeView,
  nodesAnswer,
  type RunCommand,
  type RunConfig,
  type RunView,
  runRowsAnswer,
  runViewSchema,
  updateNodeBody,
} from '@rankscope/protocol'
import { queryOptions, useMutation, useQuery } from '@tanstack/react-query'
import { useWatchedView } from '../live/live-context.tsx'
import { request, send } from './client.ts'
import { viewOfRow } from './run-rows.ts'

/** All runs, as rows of a table: without what only a run’s own page shows. In order of creation. */
export const runsQuery = queryOptions({
  queryKey: ['runs'],
  queryFn: async ({ signal }) => {
    const runs: RunView[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const query: string = cursor === '' ? '' : `?cursor=${encodeURIComponent(cursor)}`
      const page = await request(`/runs/rows${query}`, runRowsAnswer, { signal })
      runs.push(...page.rows.map(viewOfRow))
      cursor = page.next
    }
    return runs.reverse()
  },
  // Comparing ten thousand runs field by field takes longer than drawing those in sight.
  structuralSharing: false,
})

/** One run whole. */
export function runQuery(runId: string) {
  return queryOptions({
    queryKey: ['run', runId],
    queryFn: ({ signal }) => request(`/runs/${runId}`, runViewSchema, { signal }),
  })
}

export const nodesQuery = queryOptions({
  queryKey: ['nodes'],
  queryFn: async ({ signal }) => {
    const nodes: NodeView[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const query: string = cursor === '' ? '' : `?cursor=${encodeURIComponent(cursor)}`
      const page = await request(`/nodes${query}`, nodesAnswer, { signal })
      nodes.push(...page.nodes)
      cursor = page.next
    }
    return nodes.reverse()
  },
})

export function useRuns() {
  return useQuery(runsQuery)
}

/** The run as its own page shows it: its row at once, the rest as soon as it is here. */
export function useRun(runId: string): RunView | undefined {
  const row = useQuery({ ...runsQuery, select: (runs) => runs.find((run) => run.runId === runId) }).data
  const whole = useQuery({ ...runQuery(runId), enabled: row !== undefined }).data
  useWatchedView(runId)
  // What never changes within an attempt, and scalars of modules, come from the whole view; everything else from the row.
  return row && whole
    ? {
        ...row,
        latest: { ...whole.latest, ...row.latest },
        start: row.start ?? whole.start,
        checkpoint: row.checkpoint ?? whole.checkpoint,
      }
    : row
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

type RunUpdate = { name?: string; tags?: string[]; priority?: number }

export async function updateRun(runId: string, change: RunUpdate): Promise<RunView> {
  return request(`/runs/${runId}`, runViewSchema, { method: 'PATCH', body: change })
}

/** A queued run to the place before another, whose priority it takes; null: to the end. */
export async function moveRun(runId: string, before: string | null): Promise<void> {
  await send(`/runs/${runId}/move`, { method: 'POST', body: moveBody.parse({ before }) })
}

export async function setNodeMode(nodeId: string, mode: NodeMode): Promise<void> {
  await send(`/nodes/${nodeId}`, { method: 'PATCH', body: updateNodeBody.parse({ mode }) })
}

/** Of a node that is offline for good. */
export async function forgetNode(nodeId: string): Promise<void> {
  await send(`/nodes/${nodeId}`, { method: 'DELETE' })
}
