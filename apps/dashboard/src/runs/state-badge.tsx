/** State of a run in words and colour; the tooltip says why it waits or what went wrong. */
import { Badge, Tooltip } from '@mantine/core'
import type { RunState, RunView } from '@rankscope/protocol'
import classes from './state-badge.module.css'

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

/** `plain`: one element with the reason as its title, for lists of many. */
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
  if (plain)
    return (
      <span
        className={classes['plain']}
        data-testid="run-state"
        title={reason ?? undefined}
        style={{
          background: `var(--mantine-color-${colours[run.state]}-light)`,
          color: `var(--mantine-color-${colours[run.state]}-light-color)`,
        }}
      >
        {run.state}
      </span>
    )
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
