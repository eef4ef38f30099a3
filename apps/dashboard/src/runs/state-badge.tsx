/** State of a run in words and colour; the tooltip says why it waits or what went wrong. */
import { Badge, Tooltip } from '@mantine/core'
import type { RunState, RunView } from '@rankscope/protocol'

const colours: Record<RunState, string> = {
  queued: 'gray',
  assigned: 'cyan',
  running: 'blue',
  pausing: 'yellow',
  paused: 'yellow',
  stopping: 'orange',
  stopped: 'orange',
  finished: 'teal',
  failed: 'red',
  lost: 'grape',
}

export function StateBadge({ run, size = 'sm' }: { run: RunView; size?: 'sm' | 'md' }) {
  const reason =
    run.error?.message ??
    run.waitingFor ??
    (run.queuePosition === null ? null : `number ${run.queuePosition} in the queue`)
  const badge = (
    <Badge
      color={colours[run.state]}
      variant="light"
      size={size}
      tt="none"
      flex="none"
      data-testid="run-state"
    >
      {run.state}
    </Badge>
  )
  return reason ? (
    <Tooltip label={reason} maw={360}>
      {badge}
    </Tooltip>
  ) : (
    badge
  )
}
