/** The box beside the pointer: on its other side where there is room, so that it covers nothing it explains. */
import { Paper, Text } from '@mantine/core'
import type { Hover } from './hover.ts'
import classes from './hover-box.module.css'

export function HoverBox({ hover, left, top }: { hover: Hover; left: number; top: number }) {
  return (
    <div
      className={classes['place']}
      style={{ left, top }}
      // Before the element has a width its place is unknown: the half of the window decides.
      ref={(element) => {
        if (!element?.parentElement) return
        const frame = element.parentElement.getBoundingClientRect()
        element.dataset['side'] = frame.left + left > window.innerWidth / 2 ? 'left' : 'right'
      }}
      data-testid="hover"
    >
      <Paper withBorder shadow="md" className={classes['box']!}>
        <Text size="xs" fw={600} className="numeric">
          {hover.title}
        </Text>
        {hover.rows.map((row) => (
          <div
            key={`${row.runId} ${row.label}`}
            className={classes['row']}
            data-near={row.runId === hover.runId}
          >
            <span className={classes['swatch']} style={{ background: row.colour }} />
            <span className={classes['label']}>{row.label}</span>
            <span className={classes['value']}>{row.text}</span>
          </div>
        ))}
        {hover.more > 0 ? (
          <Text size="xs" c="dimmed">
            and {hover.more} more, further from the pointer
          </Text>
        ) : null}
      </Paper>
    </div>
  )
}
