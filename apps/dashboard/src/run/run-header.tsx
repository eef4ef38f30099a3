/** Name, state, what it trains, and commands. */
import { ActionIcon, Anchor, Button, Group, Text, TextInput, Title, Tooltip } from '@mantine/core'
import { methodLabel, type RunView } from '@rankscope/protocol'
import { IconCheck, IconCopy, IconGitCompare, IconListCheck, IconPencil } from '@tabler/icons-react'
import { type FormEvent, useState } from 'react'
import { Link, useNavigate } from 'react-router'
import { updateRun, useRuns } from '../api/queries.ts'
import { formatExact } from '../common/format.ts'
import { notifyError, RunCommandButtons } from '../runs/run-commands.tsx'
import { phaseText } from '../runs/run-progress.tsx'
import { RunSwatch } from '../runs/run-swatch.tsx'
import { StateBadge } from '../runs/state-badge.tsx'

export function RunHeader({ run }: { run: RunView }) {
  const navigate = useNavigate()
  const group = run.config.group
  const siblings = (useRuns().data ?? []).filter((other) => group !== null && other.config.group === group)
  const phase = run.phase && run.phase.phase !== 'training' ? phaseText(run) : null
  return (
    <Group justify="space-between" gap="sm" align="flex-start">
      <div style={{ minWidth: 0 }}>
        <RunName run={run} />
        <Group gap={8} mt={4}>
          <StateBadge run={run} size="md" />
          <Text size="sm" c="dimmed" title={run.start?.computedBy}>
            {methodLabel(run.config)} on {run.config.model.path}
            {group === null ? '' : `, group ${group}`}
            {run.attempt > 1 ? `, attempt ${run.attempt}` : ''}
            {run.start
              ? `, ${run.start.backend} with ${run.start.threads} ${run.start.threads === 1 ? 'thread' : 'threads'}`
              : ''}
          </Text>
          {run.state === 'queued' && run.queuePosition !== null ? (
            <Anchor component={Link} to="/nodes#queue" size="sm">
              number {formatExact(run.queuePosition)} in the queue
              {run.waitingFor === null ? '' : `, waits for ${run.waitingFor}`}
            </Anchor>
          ) : null}
          {phase && run.state !== 'finished' ? (
            <Text size="sm" fw={500} data-testid="phase">
              {phase}
            </Text>
          ) : null}
        </Group>
      </div>
      <Group gap={6}>
        {siblings.length > 1 ? (
          <Button
            size="compact-sm"
            variant="light"
            component={Link}
            to={`/compare?runs=${siblings.map((other) => other.runId).join(',')}`}
            leftSection={<IconGitCompare size={14} />}
          >
            Compare the group
          </Button>
        ) : null}
        {run.config.job.kind === 'training' ? (
          <>
            {run.nodeId === null ? null : (
              <Button
                size="compact-sm"
                variant="default"
                component={Link}
                to={`/evaluate?run=${run.runId}`}
                leftSection={<IconListCheck size={14} />}
              >
                Evaluate …
              </Button>
            )}
            <Button
              size="compact-sm"
              variant="default"
              component={Link}
              to={`/launch?from=${run.runId}`}
              leftSection={<IconCopy size={14} />}
            >
              Launch again …
            </Button>
          </>
        ) : null}
        <RunCommandButtons runs={[run]} onDeleted={() => void navigate('/runs')} />
      </Group>
    </Group>
  )
}

function RunName({ run }: { run: RunView }) {
  const [editing, setEditing] = useState<string | null>(null)
  const save = async (event: FormEvent) => {
    event.preventDefault()
    const name = editing?.trim() ?? ''
    setEditing(null)
    if (name === '' || name === run.name) return
    try {
      await updateRun(run.runId, { name })
    } catch (error) {
      notifyError('The name could not be changed', error)
    }
  }
  if (editing !== null) {
    return (
      <form onSubmit={(event) => void save(event)}>
        <Group gap={6} wrap="nowrap">
          <TextInput
            aria-label="Name of the run"
            value={editing}
            maxLength={120}
            onChange={(event) => setEditing(event.currentTarget.value)}
            onKeyDown={(event) => event.key === 'Escape' && setEditing(null)}
            autoFocus
          />
          <ActionIcon type="submit" variant="light" aria-label="Save the name">
            <IconCheck size={16} />
          </ActionIcon>
        </Group>
      </form>
    )
  }
  return (
    <Group gap={8} wrap="nowrap">
      <RunSwatch runId={run.runId} size={14} />
      <Title order={2} style={{ overflowWrap: 'anywhere' }} lh={1.25}>
        {run.name}
      </Title>
      <Tooltip label="Rename">
        <ActionIcon variant="subtle" color="gray" onClick={() => setEditing(run.name)} aria-label="Rename">
          <IconPencil size={15} />
        </ActionIcon>
      </Tooltip>
    </Group>
  )
}
