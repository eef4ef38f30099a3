/** The GPU nodes: what waits for them, what they have, what they do, and how to add another. */
import { Skeleton, Stack, Title } from '@mantine/core'
import { useNodes } from '../api/queries.ts'
import { ErrorNotice, Notice } from '../common/notice.tsx'
import { useNow } from '../common/use-now.ts'
import { AddNode } from './add-node.tsx'
import { NodeCard } from './node-card.tsx'
import { QueuePanel } from './queue-panel.tsx'

export function NodesPage() {
  const { data: nodes, error, refetch } = useNodes()
  const now = useNow(1000)
  const sorted = [...(nodes ?? [])].sort(
    (a, b) => b.state.localeCompare(a.state) || a.hello.name.localeCompare(b.hello.name),
  )
  return (
    <Stack gap="md">
      <Title order={2}>Nodes</Title>
      {error ? <ErrorNotice error={error} retry={() => void refetch()} /> : null}
      {!nodes && !error ? <Skeleton height={220} aria-label="Loading nodes" /> : null}
      {nodes?.length === 0 ? (
        <Notice title="No node yet" text="A node trains runs. Start one on this machine or on another:" />
      ) : null}
      {nodes ? <QueuePanel nodes={nodes} /> : null}
      {sorted.map((node) => (
        <NodeCard key={node.nodeId} node={node} nowMs={now} />
      ))}
      {nodes ? <AddNode /> : null}
    </Stack>
  )
}
