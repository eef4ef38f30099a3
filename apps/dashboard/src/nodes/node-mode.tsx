/** Holding a node back: drained, paused, opened again; an offline one can be forgotten. */
import { Button, Group, Modal, Text, Tooltip } from '@mantine/core'
import type { NodeMode, NodeView } from '@rankscope/protocol'
import { IconPlayerPause, IconPlayerPlay, IconProgressDown, IconTrash } from '@tabler/icons-react'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { forgetNode, nodesQuery, setNodeMode } from '../api/queries.ts'
import { notifyError } from '../runs/run-commands.tsx'

const modes: Record<NodeMode, { label: string; help: string; icon: typeof IconTrash }> = {
  open: {
    label: 'Open',
    help: 'It takes runs again, and those that were paused with it go on.',
    icon: IconPlayerPlay,
  },
  draining: {
    label: 'Drain',
    help: 'It gets no new run; those that it holds go on.',
    icon: IconProgressDown,
  },
  paused: {
    label: 'Pause',
    help: 'It gets no new run; those that it holds write a checkpoint and wait until it is opened.',
    icon: IconPlayerPause,
  },
}

export function NodeModeButtons({ node }: { node: NodeView }) {
  const [busy, setBusy] = useState(false)
  const [asking, setAsking] = useState(false)
  const client = useQueryClient()
  const { name } = node.hello
  const attempt = async (title: string, act: () => Promise<void>) => {
    setBusy(true)
    await act().catch((error: unknown) => notifyError(title, error))
    setBusy(false)
  }
  const forget = async () => {
    await attempt(`${name} could not be forgotten`, () => forgetNode(node.nodeId))
    setAsking(false)
    await client.invalidateQueries({ queryKey: nodesQuery.queryKey })
  }
  return (
    <Group gap={6}>
      {(Object.keys(modes) as NodeMode[])
        .filter((mode) => mode !== node.mode)
        .map((mode) => {
          const { label, help, icon: Icon } = modes[mode]
          return (
            <Tooltip key={mode} label={help} maw={300}>
              <Button
                size="compact-sm"
                variant="default"
                disabled={busy}
                leftSection={<Icon size={14} />}
                aria-label={`${label} ${name}`}
                onClick={() => void attempt(`${label} was refused`, () => setNodeMode(node.nodeId, mode))}
              >
                {label}
              </Button>
            </Tooltip>
          )
        })}
      {node.state === 'offline' ? (
        <Button
          size="compact-sm"
          variant="default"
          disabled={busy}
          leftSection={<IconTrash size={14} />}
          aria-label={`Forget ${name}`}
          onClick={() => setAsking(true)}
        >
          Forget …
        </Button>
      ) : null}
      <Modal opened={asking} onClose={() => setAsking(false)} title={`Forget ${name}?`} centered>
        <Text size="sm" mb="md">
          It goes from this list until it says hello again. Its runs and what they recorded stay.
        </Text>
        <Group justify="flex-end">
          <Button variant="default" onClick={() => setAsking(false)} data-autofocus>
            Keep
          </Button>
          <Button color="red" loading={busy} onClick={() => void forget()}>
            Forget
          </Button>
        </Group>
      </Modal>
    </Group>
  )
}
