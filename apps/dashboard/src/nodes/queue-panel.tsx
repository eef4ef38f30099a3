/** What waits for a node, in the order in which it starts: moved by handle or buttons, priorities changed. */
import { ActionIcon, Anchor, Button, Group, NumberInput, Paper, Table, Text, Tooltip } from '@mantine/core'
import { methodLabel, type NodeView, type RunView, runConfigSchema } from '@rankscope/protocol'
import {
  IconArrowBarToDown,
  IconArrowBarToUp,
  IconArrowDown,
  IconArrowUp,
  IconDots,
  IconGripVertical,
} from '@tabler/icons-react'
import { type DragEvent, useState } from 'react'
import { Link } from 'react-router'
import { moveRun, updateRun, useRuns } from '../api/queries.ts'
import { formatExact } from '../common/format.ts'
import { notifyError, RunCommandMenu } from '../runs/run-commands.tsx'
import { RunSwatch } from '../runs/run-swatch.tsx'
import { moveTo, queueOf } from './queue-order.ts'
import classes from './queue-panel.module.css'

/** Rows shown before more are asked for. */
const pageSize = 50

export function QueuePanel({ nodes }: { nodes: readonly NodeView[] }) {
  const { data: runs } = useRuns()
  const [shown, setShown] = useState(pageSize)
  const [busy, setBusy] = useState(false)
  const [dragged, setDragged] = useState<string | null>(null)
  const [target, setTarget] = useState<string | null>(null)
  const [menu, setMenu] = useState<{ run: RunView; target: HTMLElement } | null>(null)
  const queue = queueOf(runs ?? [])
  const open = nodes.filter((node) => node.state === 'online' && node.mode === 'open')
  const free = open.reduce((sum, node) => sum + Math.max(0, node.hello.slots - node.runIds.length), 0)

  const move = async (runId: string, to: number) => {
    const before = moveTo(
      queue,
      queue.findIndex((run) => run.runId === runId),
      to,
    )
    if (before === undefined) return
    setBusy(true)
    await moveRun(runId, before).catch((error: unknown) => notifyError('The run was not moved', error))
    setBusy(false)
  }
  const drop = (event: DragEvent, to: number) => {
    event.preventDefault()
    if (dragged !== null) void move(dragged, to)
    setDragged(null)
    setTarget(null)
  }
  return (
    <Paper withBorder p="md" component="section" aria-label="Queue" id="queue">
      <Group gap="xs" mb={queue.length > 0 ? 'xs' : 4}>
        <Text fw={600} size="lg">
          Queue
        </Text>
        <Text size="sm" c="dimmed" role="status">
          {queue.length === 0 ? 'Nothing waits' : `${formatExact(queue.length)} waiting`},{' '}
          {free === 0 ? 'no free slot' : `${formatExact(free)} free ${free === 1 ? 'slot' : 'slots'}`}
        </Text>
      </Group>
      {queue.length === 0 ? (
        <Text size="sm" c="dimmed">
          A run that finds no free slot waits here, and can be moved.
        </Text>
      ) : (
        <Table.ScrollContainer minWidth={760}>
          <Table verticalSpacing={4} data-testid="queue">
            <Table.Thead>
              <Table.Tr>
                <Table.Th w={64}>Place</Table.Th>
                <Table.Th>Run</Table.Th>
                <Table.Th>Waits for</Table.Th>
                <Table.Th w={104}>Priority</Table.Th>
                <Table.Th w={176}>Move</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {queue.slice(0, shown).map((run, index) => {
                const button = (label: string, to: number, Icon: typeof IconArrowUp) => (
                  <Tooltip label={label}>
                    <ActionIcon
                      variant="subtle"
                      color="gray"
                      aria-label={`${label}: ${run.name}`}
                      disabled={busy || moveTo(queue, index, to) === undefined}
                      onClick={() => void move(run.runId, to)}
                    >
                      <Icon size={16} />
                    </ActionIcon>
                  </Tooltip>
                )
                return (
                  <Table.Tr
                    key={run.runId}
                    className={classes['row']!}
                    data-testid="queued-run"
                    data-target={target === run.runId && dragged !== run.runId}
                    onDragOver={(event) => {
                      if (dragged === null) return
                      event.preventDefault()
                      setTarget(run.runId)
                    }}
                    onDrop={(event) => drop(event, index)}
                  >
                    <Table.Td className="numeric">
                      <Group gap={4} wrap="nowrap">
                        {/** biome-ignore lint/a11y/noStaticElementInteractions: for pointers only; the buttons do the same by keyboard */}
                        <span
                          className={classes['handle']}
                          draggable
                          title="Drag to another place"
                          data-testid="queue-handle"
                          onDragStart={(event) => {
                            event.dataTransfer.effectAllowed = 'move'
                            setDragged(run.runId)
                          }}
                          onDragEnd={() => {
                            setDragged(null)
                            setTarget(null)
                          }}
                        >
                          <IconGripVertical size={15} aria-hidden />
                        </span>
                        {formatExact(index + 1)}
                      </Group>
                    </Table.Td>
                    <Table.Td>
                      <Group gap={6} wrap="nowrap">
                        <RunSwatch runId={run.runId} />
                        <Anchor component={Link} to={`/runs/${run.runId}`} size="sm">
                          {run.name}
                        </Anchor>
                        <Text span size="xs" c="dimmed">
                          {methodLabel(run.config)}
                        </Text>
                      </Group>
                    </Table.Td>
                    <Table.Td>
                      <Text size="sm" c="dimmed">
                        {run.waitingFor ?? 'its turn'}
                      </Text>
                    </Table.Td>
                    <Table.Td>
                      <PriorityInput key={run.config.priority} run={run} />
                    </Table.Td>
                    <Table.Td>
                      <Group gap={2} wrap="nowrap">
                        {button('Up', index - 1, IconArrowUp)}
                        {button('Down', index + 1, IconArrowDown)}
                        {button('To the front', 0, IconArrowBarToUp)}
                        {button('To the end', queue.length - 1, IconArrowBarToDown)}
                        <ActionIcon
                          variant="subtle"
                          color="gray"
                          aria-label={`Commands for ${run.name}`}
                          aria-haspopup="menu"
                          onClick={(event) => setMenu({ run, target: event.currentTarget })}
                        >
                          <IconDots size={16} />
                        </ActionIcon>
                      </Group>
                    </Table.Td>
                  </Table.Tr>
                )
              })}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
      {queue.length > shown ? (
        <Button variant="subtle" size="compact-sm" mt="xs" onClick={() => setShown(shown + pageSize)}>
          Show {formatExact(Math.min(pageSize, queue.length - shown))} more
        </Button>
      ) : null}
      {queue.length > 1 ? (
        <Text size="xs" c="dimmed" mt="xs">
          Higher priority starts first, then whoever came first. A run that is moved takes the priority of the
          run that it is put before. A run that cannot start yet holds nobody up.
        </Text>
      ) : null}
      {menu ? <RunCommandMenu {...menu} close={() => setMenu(null)} /> : null}
    </Paper>
  )
}

const limits = runConfigSchema.shape.priority.unwrap()

/** Sent when it is left or on Enter, not with every digit. */
function PriorityInput({ run }: { run: RunView }) {
  const { priority } = run.config
  const [value, setValue] = useState<number | string>(priority)
  const save = async () => {
    if (value === '' || Number(value) === priority) {
      setValue(priority)
      return
    }
    await updateRun(run.runId, { priority: Number(value) }).catch((error: unknown) => {
      setValue(priority)
      notifyError('The priority was not changed', error)
    })
  }
  return (
    <NumberInput
      size="xs"
      w={84}
      aria-label={`Priority of ${run.name}`}
      value={value}
      min={limits.minValue ?? -100}
      max={limits.maxValue ?? 100}
      allowDecimal={false}
      onChange={setValue}
      onBlur={() => void save()}
      onKeyDown={(event) => event.key === 'Enter' && void save()}
    />
  )
}
