/** One node: state, devices, backends, running runs, load, and what it offers. */
import { Anchor, Badge, Group, List, Paper, SimpleGrid, Stack, Table, Text, Tooltip } from '@mantine/core'
import type { NodeView } from '@rankscope/protocol'
import { IconCheck, IconMinus } from '@tabler/icons-react'
import { Link } from 'react-router'
import { useRuns } from '../api/queries.ts'
import { formatAge, formatBytes, formatCount, formatNumber } from '../common/format.ts'
import { RunSwatch } from '../runs/run-swatch.tsx'
import { StateBadge } from '../runs/state-badge.tsx'
import { NodeModeButtons } from './node-mode.tsx'

export function NodeCard({ node, nowMs }: { node: NodeView; nowMs: number }) {
  const { hello, heartbeat } = node
  const online = node.state === 'online'
  return (
    <Paper withBorder p="md" component="section" aria-label={`Node ${hello.name}`} data-testid="node">
      <Group gap="xs" mb="sm">
        <Text fw={600} size="lg">
          {hello.name}
        </Text>
        <Badge color={online ? 'green' : 'gray'} variant="light" tt="none">
          {node.state}
        </Badge>
        {node.mode === 'open' ? null : (
          <Badge color="yellow" variant="light" tt="none" data-testid="node-mode">
            {node.mode}
          </Badge>
        )}
        <Text size="sm" c="dimmed" flex={1} miw={180}>
          {hello.hostname === hello.name ? '' : `${hello.hostname}, `}
          {hello.platform}, version {hello.softwareVersion}, seen {formatAge(node.lastSeenMs, nowMs)}
        </Text>
        <NodeModeButtons node={node} />
      </Group>
      <SimpleGrid cols={{ base: 1, sm: 2, lg: 4 }} spacing="lg">
        <Part title="Devices">
          <List size="sm" spacing={2} listStyleType="none">
            {hello.devices.map((device) => (
              <List.Item key={device.id}>
                {device.name}
                <Text span size="sm" c="dimmed">
                  {' '}
                  {device.cores === null ? '' : `${device.cores} cores, `}
                  {formatBytes(device.memoryBytes)}
                </Text>
              </List.Item>
            ))}
          </List>
          <Table verticalSpacing={2} horizontalSpacing={0} withRowBorders={false} mt={6}>
            <Table.Tbody>
              <Figure label="Threads per run" value={String(hello.threadsPerRun)} />
              <Figure label="Load average" value={formatNumber(heartbeat?.loadAverage)} />
              <Gpus gpus={heartbeat?.gpus} />
              <Figure label="Free memory" value={formatBytes(heartbeat?.freeMemoryBytes)} />
              <Figure
                label="Records not yet sent"
                value={formatCount(heartbeat?.spooledRecords)}
                help="Kept on the node’s disk until the server has stored them."
              />
            </Table.Tbody>
          </Table>
        </Part>
        <Part title="Backends">
          <Stack gap={6}>
            {hello.backends.map((backend) => (
              <Group key={backend.name} gap={8} wrap="nowrap" align="flex-start">
                {backend.available ? (
                  <IconCheck {...symbol} color="var(--mantine-color-teal-6)" aria-label="available" />
                ) : (
                  <IconMinus {...symbol} color="var(--mantine-color-dimmed)" aria-label="not available" />
                )}
                <div style={{ minWidth: 0 }}>
                  <Text size="sm" lh={1.2} fw={backend.name === hello.selectedBackend ? 600 : 400}>
                    {backend.name}
                    {backend.name === hello.selectedBackend ? ' (chosen by auto)' : ''}
                  </Text>
                  <Text size="xs" c="dimmed" lineClamp={3} title={backend.detail}>
                    {backend.detail}
                  </Text>
                </div>
              </Group>
            ))}
          </Stack>
        </Part>
        <Part
          title={`Running, ${node.runIds.length} of ${hello.slots} ${hello.slots === 1 ? 'slot' : 'slots'}`}
        >
          <RunningRuns node={node} />
        </Part>
        <Part title="Offers">
          <Text size="xs" c="dimmed">
            Models
          </Text>
          <List size="sm" spacing={2} listStyleType="none" mb={6}>
            {hello.models.length === 0 ? <List.Item>none</List.Item> : null}
            {hello.models.map((model) => (
              <List.Item key={model.path}>
                <span title={model.path}>{model.name}</span>
                <Text span size="xs" c="dimmed">
                  {' '}
                  {model.parameters === null ? '' : `${formatCount(model.parameters)} parameters`}
                </Text>
              </List.Item>
            ))}
          </List>
          <Text size="xs" c="dimmed">
            Data files
          </Text>
          <List size="sm" spacing={2} listStyleType="none">
            {hello.data.length === 0 ? <List.Item>the built-in tasks only</List.Item> : null}
            {hello.data.slice(0, 12).map((file) => (
              <List.Item key={file.path} style={{ overflowWrap: 'anywhere' }}>
                {file.path}
                <Text span size="xs" c="dimmed">
                  {' '}
                  {formatBytes(file.bytes)}
                </Text>
              </List.Item>
            ))}
            {hello.data.length > 12 ? <List.Item>and {hello.data.length - 12} more</List.Item> : null}
          </List>
        </Part>
      </SimpleGrid>
    </Paper>
  )
}

/** What each GPU does now, or why nothing is known of any. */
function Gpus({ gpus }: { gpus: NonNullable<NodeView['heartbeat']>['gpus'] | undefined }) {
  if (!gpus) return null
  if (gpus.readings.length === 0) return <Figure label="GPUs" value="none" help={gpus.absent ?? ''} />
  return gpus.readings.map((gpu) => {
    const { utilization, memoryUsedBytes, memoryTotalBytes, powerWatts, temperatureCelsius } = gpu
    const parts = [
      utilization === null ? null : `${Math.round(100 * utilization)} %`,
      memoryUsedBytes === null
        ? null
        : `${formatBytes(memoryUsedBytes)} of ${formatBytes(memoryTotalBytes ?? undefined)}`,
      powerWatts === null ? null : `${Math.round(powerWatts)} W`,
      temperatureCelsius === null ? null : `${Math.round(temperatureCelsius)} °C`,
    ]
    return (
      <Figure
        key={gpu.index}
        label={`GPU ${gpu.index}`}
        value={parts.filter((part) => part !== null).join(', ') || 'not measured'}
        help={`${gpu.name}: share of the time in which it computes, memory in use, power, temperature`}
      />
    )
  })
}

/** Long text beside a symbol must not squeeze it. */
const symbol = { size: 15, style: { flex: 'none', marginTop: 2 } } as const

function RunningRuns({ node }: { node: NodeView }) {
  const { data: runs } = useRuns()
  if (node.runIds.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        {node.state === 'offline' || node.mode !== 'open'
          ? 'Nothing.'
          : 'Free: the next queued run starts here.'}
      </Text>
    )
  }
  return (
    <List size="sm" spacing={4} listStyleType="none">
      {node.runIds.map((runId) => {
        const run = runs?.find((candidate) => candidate.runId === runId)
        return (
          <List.Item key={runId}>
            <Group gap={6}>
              <RunSwatch runId={runId} />
              <Anchor component={Link} to={`/runs/${runId}`} size="sm">
                {run?.name ?? runId}
              </Anchor>
              {run ? <StateBadge run={run} /> : null}
            </Group>
          </List.Item>
        )
      })}
    </List>
  )
}

function Part({ title, children }: { title: string; children: React.ReactNode }) {
  return (
    <div style={{ minWidth: 0 }}>
      <Text size="sm" fw={600} mb={4}>
        {title}
      </Text>
      {children}
    </div>
  )
}

function Figure({ label, value, help }: { label: string; value: string; help?: string }) {
  const text = <Text size="sm">{label}</Text>
  return (
    <Table.Tr>
      <Table.Td c="dimmed">{help ? <Tooltip label={help}>{text}</Tooltip> : text}</Table.Td>
      <Table.Td ta="right" className="numeric">
        {value}
      </Table.Td>
    </Table.Tr>
  )
}
