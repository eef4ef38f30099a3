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

/** `plain`: the reason as a title, for lists of many. */
export function StateBadge({
  run,
  size = 'sm',
  plain = false,
}: {
  run: RunView
  size?: 'sm' | 'md'
  plain?: boolean
}) {
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
      {...(plain && reason ? { title: reason } : {})}
    >
      {run.state}
    </Badge>
  )
  return reason && !plain ? (
    <Tooltip label={reason} maw={360}>
      {badge}
    </Tooltip>
  ) : (
    badge
  )
}
