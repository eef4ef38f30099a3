/** Runs and nodes from the live feed into the query cache, once per frame however many came. */
import type { NodeView, RunView } from '@rankscope/protocol'
import type { QueryClient } from '@tanstack/react-query'
import { Batcher } from '../live/batcher.ts'
import type { ViewListener } from '../live/connection.ts'
import { send } from './client.ts'
import { nodesQuery, runQuery, runsQuery } from './queries.ts'
import { changedView } from './run-rows.ts'

export function cacheViews(
  client: QueryClient,
  frames = new Batcher((callback) => requestAnimationFrame(callback)),
): ViewListener {
  const runs = new Map<string, RunView | null>()
  const wholes = new Map<string, RunView>()
  const nodes = new Map<string, NodeView>()
  const flush = () => {
    for (const [runId, run] of wholes) client.setQueryData(runQuery(runId).queryKey, (known) => known && run)
    wholes.clear()
    if (runs.size > 0) {
      const changes = new Map(runs)
      runs.clear()
      client.setQueryData(runsQuery.queryKey, (known) => (known ? merge(known, changes, 'runId') : known))
    }
    if (nodes.size > 0) {
      const changes = new Map(nodes)
      nodes.clear()
      client.setQueryData(nodesQuery.queryKey, (known) => (known ? merge(known, changes, 'nodeId') : known))
    }
  }
  return {
    runRows: (rows) => {
      const known = new Map((client.getQueryData(runsQuery.queryKey) ?? []).map((run) => [run.runId, run]))
      for (const row of rows) {
        const view = changedView(runs.get(row.runId) ?? known.get(row.runId), row)
        // A run that was created while its list was on the way: ask for the list again.
        if (view) runs.set(row.runId, view)
        else void client.invalidateQueries({ queryKey: runsQuery.queryKey })
      }
      frames.request(flush)
    },
    run: (run) => {
      runs.set(run.runId, run)
      wholes.set(run.runId, run)
      frames.request(flush)
    },
    runDeleted: (runId) => {
      runs.set(runId, null)
      frames.request(flush)
    },
    node: (node) => {
      nodes.set(node.nodeId, node)
      frames.request(flush)
    },
    reconnected: () => {
      for (const queryKey of [runsQuery.queryKey, ['run'], nodesQuery.queryKey])
        void client.invalidateQueries({ queryKey })
    },
    // What it answers is told to the session.
    unreachable: () => void send('/health').catch(() => undefined),
  }
}

/** Items with the changes applied: replaced in place, new ones at the end, null removes. */
export function merge<K extends string, T extends Record<K, string>>(
  items: readonly T[],
  changes: ReadonlyMap<string, T | null>,
  key: K,
): T[] {
  const rest = new Map(changes)
  const merged: T[] = []
  for (const item of items) {
    const change = rest.get(item[key])
    rest.delete(item[key])
    if (change === undefined) merged.push(item)
    else if (change !== null) merged.push(change)
  }
  for (const item of rest.values()) if (item !== null) merged.push(item)
  return merged
}
