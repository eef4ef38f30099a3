/** Exports of a run after the fact: asked for, watched while one is under way, cancelled. */
import {
  createExportBody,
  type ExportJob,
  type ExportRequest,
  exportJobSchema,
  exportsAnswer,
  isExportOver,
} from '@rankscope/protocol'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { request } from '../api/client.ts'

const pollMs = 500

export function useExports(runId: string) {
  const client = useQueryClient()
  const queryKey = ['exports', runId]
  const jobs = useQuery({
    queryKey,
    queryFn: async ({ signal }) =>
      (await request(`/runs/${runId}/exports`, exportsAnswer, { signal })).jobs as ExportJob[],
    refetchInterval: ({ state }) => (state.data?.some((job) => !isExportOver(job.state)) ? pollMs : false),
  })
  const changed = { onSuccess: () => client.invalidateQueries({ queryKey }) }
  const start = useMutation({
    mutationFn: (wanted: { request: ExportRequest; checkpoint: string | null }) =>
      request(`/runs/${runId}/exports`, exportJobSchema, {
        method: 'POST',
        body: createExportBody.parse(wanted),
      }),
    ...changed,
  })
  const cancel = useMutation({
    mutationFn: (jobId: string) =>
      request(`/runs/${runId}/exports/${jobId}`, exportJobSchema, { method: 'DELETE' }),
    ...changed,
  })
  return { jobs, start, cancel }
}
