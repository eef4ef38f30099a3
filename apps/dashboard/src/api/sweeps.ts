/** Sweeps of the server. Their runs are followed by the live feed; what is fetched here is which runs they have. */

import type { PlannedRun } from '@rankscope/experiments'
import {
  type SweepCommand,
  type SweepSpec,
  type SweepView,
  sweepsAnswer,
  sweepViewSchema,
} from '@rankscope/protocol'
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { request, send } from './client.ts'

/** A state that someone else changes is seen after this time. */
const refetchEveryMs = 5000

export function useSweeps() {
  return useInfiniteQuery({
    queryKey: ['sweeps'],
    queryFn: ({ pageParam, signal }) =>
      request(
        `/sweeps?limit=50${pageParam === null ? '' : `&cursor=${encodeURIComponent(pageParam)}`}`,
        sweepsAnswer,
        {
          signal,
        },
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    refetchInterval: refetchEveryMs,
  })
}

export function useSweep(sweepId: string) {
  return useQuery({
    queryKey: ['sweep', sweepId],
    queryFn: ({ signal }) => request(`/sweeps/${sweepId}`, sweepViewSchema, { signal }),
    refetchInterval: refetchEveryMs,
  })
}

export function newRequestId(): string {
  return crypto.randomUUID()
}

/** One request id per sweep as it stands in the form: a second click, or a retry, makes no second one. */
export function useCreateSweep() {
  const [sent] = useState(() => new Map<string, string>())
  return useMutation({
    mutationFn: async ({ spec, runs }: { spec: SweepSpec; runs: readonly PlannedRun[] }) => {
      const key = JSON.stringify(spec)
      const requestId = sent.get(key) ?? newRequestId()
      sent.set(key, requestId)
      const body = { requestId, spec, runs }
      return request('/sweeps', sweepViewSchema, { method: 'POST', body })
    },
  })
}

/** Takes in the zip of a sweep. */
export function useImportSweep() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: (file: File) => request('/sweeps/import', sweepViewSchema, { method: 'POST', body: file }),
    onSuccess: () => client.invalidateQueries({ queryKey: ['sweeps'] }),
  })
}

/** Commands of one sweep; the answer takes the place of what was known of it. */
export function useSweepCommands(sweepId: string) {
  const client = useQueryClient()
  const keep = (view: SweepView) => {
    client.setQueryData(['sweep', sweepId], view)
    void client.invalidateQueries({ queryKey: ['sweeps'] })
  }
  const command = useMutation({
    mutationFn: (word: SweepCommand) =>
      request(`/sweeps/${sweepId}/commands`, sweepViewSchema, { method: 'POST', body: { command: word } }),
    onSuccess: keep,
  })
  const extend = useMutation({
    mutationFn: ({
      requestId,
      axes,
      runs,
    }: {
      requestId: string
      axes: SweepSpec['axes']
      runs: readonly PlannedRun[]
    }) =>
      request(`/sweeps/${sweepId}/runs`, sweepViewSchema, {
        method: 'POST',
        body: { requestId, axes, runs },
      }),
    onSuccess: keep,
  })
  const remove = useMutation({
    mutationFn: () => send(`/sweeps/${sweepId}`, { method: 'DELETE' }),
    onSuccess: () => client.invalidateQueries({ queryKey: ['sweeps'] }),
  })
  return { command, extend, remove }
}
