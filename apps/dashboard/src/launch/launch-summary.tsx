/** What pressing Launch will do: the runs, the batch arithmetic, and everything that stands against it. */
import { Alert, Button, Code, Group, List, Paper, Stack, Text } from '@mantine/core'
import type { TimeEstimate } from '@rankscope/experiments'
import { accumulationSteps, methodLabel, plannedSteps, type RunConfig } from '@rankscope/protocol'
import { IconRocket } from '@tabler/icons-react'
import { formatDuration } from '../common/format.ts'
import { ErrorNotice } from '../common/notice.tsx'
import type { Finding } from './draft.ts'
import { MemoryTable } from './memory-table.tsx'
import { PlacementList } from './placement-list.tsx'
import type { AskedOutlook } from './use-memory-outlook.ts'

type Props = {
  configs: readonly RunConfig[]
  findings: readonly Finding[]
  launch: () => void
  launching: boolean
  /** What the server said to the last attempt. */
  error: Error | null
  /** Why nothing can be launched although nothing is wrong, e.g. no method is chosen. */
  missing: string | null
  onlineNodes: number
  /** What the nodes say of the memory that is needed; null until one has answered. */
  memory: AskedOutlook | null
  /** The runs are the points of a sweep, named by what differs. */
  isSweep: boolean
  /** Judged by earlier runs; null where none compares. */
  time: TimeEstimate | null
}

/** Runs that are named one by one. */
const listedRuns = 12

export function LaunchSummary(props: Props) {
  const { configs, findings, launch, launching, error, missing, onlineNodes, memory, isSweep, time } = props
  const all = [...findings, ...(memory?.findings ?? [])]
  const errors = all.filter((finding) => finding.severity === 'error')
  const warnings = all.filter((finding) => finding.severity === 'warning')
  const [first] = configs
  return (
    <Paper withBorder p="md" component="section" aria-label="Summary">
      <Stack gap="sm">
        {configs.length > 0 ? (
          <div>
            <Text fw={600}>
              {configs.length === 1
                ? 'One run'
                : `${configs.length} runs, one ${isSweep ? 'sweep' : 'group'}`}
            </Text>
            <List size="sm" mt={4} spacing={2}>
              {configs.slice(0, listedRuns).map((config) => (
                <List.Item key={JSON.stringify([config.method, config.seed, config.name])}>
                  {isSweep ? config.name?.replace(`${config.group}: `, '') : methodLabel(config)}
                  {!isSweep && new Set(configs.map((other) => other.seed)).size > 1
                    ? `, seed ${config.seed}`
                    : ''}
                </List.Item>
              ))}
              {configs.length > listedRuns ? (
                <List.Item>and {configs.length - listedRuns} more</List.Item>
              ) : null}
            </List>
          </div>
        ) : null}
        {time ? (
          <Text size="sm" c="dimmed" data-testid="time-estimate">
            About {formatDuration(time.seconds)} of training one run after the other, judged by {time.basedOn}{' '}
            earlier {time.basedOn === 1 ? 'run' : 'runs'} of the same shape
            {time.unknown > 0 ? ` (none for ${time.unknown} of these)` : ''}: an estimate.
          </Text>
        ) : null}
        {first ? <BatchArithmetic config={first} /> : null}
        {memory ? <MemoryTable outlook={memory} /> : null}
        {memory ? <PlacementList outlook={memory} /> : null}
        {errors.length > 0 ? (
          <Alert color="red" title="Not yet" p="sm" data-testid="launch-errors">
            <FindingList findings={errors} />
          </Alert>
        ) : null}
        {warnings.length > 0 ? (
          <Alert color="orange" title="Worth knowing" p="sm">
            <FindingList findings={warnings} />
          </Alert>
        ) : null}
        {error ? <ErrorNotice error={error} /> : null}
        {onlineNodes === 0 ? (
          <Text size="sm" c="dimmed">
            No node is online: runs wait in the queue until one connects.
          </Text>
        ) : null}
        {missing ? (
          <Text size="sm" c="dimmed">
            {missing}
          </Text>
        ) : null}
        <Group>
          <Button
            fullWidth
            leftSection={<IconRocket size={16} />}
            disabled={configs.length === 0 || errors.length > 0}
            loading={launching}
            onClick={launch}
            data-testid="launch"
          >
            {configs.length > 1 ? `Launch ${configs.length} runs` : 'Launch'}
          </Button>
        </Group>
      </Stack>
    </Paper>
  )
}

/** batch = micro-batch × devices × accumulation, and the steps that follow from it. */
function BatchArithmetic({ config }: { config: RunConfig }) {
  const { globalBatchSize, microBatchSize } = config.training
  const accumulation = accumulationSteps(config)
  const planned = plannedSteps(config)
  return (
    <Text size="sm" c="dimmed" className="numeric" data-testid="batch-arithmetic">
      {globalBatchSize} examples per step = {microBatchSize} × {config.parallel.devices}{' '}
      {config.parallel.devices === 1 ? 'device' : 'devices'} × {accumulation}{' '}
      {accumulation === 1 ? 'accumulation step' : 'accumulation steps'}
      {planned === null
        ? ''
        : `; ${planned.exact ? '' : 'at most '}${planned.steps.toLocaleString('en-US')} steps`}
    </Text>
  )
}

function FindingList({ findings }: { findings: readonly Finding[] }) {
  return (
    <List size="sm" spacing={4}>
      {findings.map((finding) => (
        <List.Item key={`${finding.method} ${finding.path} ${finding.message}`}>
          <Code>{finding.method ? `${finding.method}: ${finding.path}` : finding.path}</Code>{' '}
          {finding.message}
          {finding.hint ? `; ${finding.hint}` : ''}
        </List.Item>
      ))}
    </List>
  )
}
