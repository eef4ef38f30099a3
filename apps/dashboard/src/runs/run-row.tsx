/** One row of the runs list: plain elements, drawn anew only when its run or the columns change. */
import { isActive, type RunView } from '@rankscope/protocol'
import { IconDots } from '@tabler/icons-react'
import { memo, useLayoutEffect, useRef } from 'react'
import { Link } from 'react-router'
import { highlightRun } from '../charts/highlight.ts'
import { forgetFullName } from './full-name.ts'
import type { RunColumn } from './run-columns.ts'
import { progressOf } from './run-figures.ts'
import { progressText } from './run-progress.tsx'
import { RunSwatch } from './run-swatch.tsx'
import classes from './runs-table.module.css'
import { StateBadge } from './state-badge.tsx'

type Props = {
  run: RunView
  /** In the list, from 1. */
  position: number
  columns: readonly RunColumn[]
  template: string
  top: number
  height: number
  selected: boolean
  /** The time, only where something in the row counts seconds. */
  nowMs: number
  toggle: (runId: string, range: boolean) => void
  openMenu: (run: RunView, target: HTMLElement) => void
}

export const RunRow = memo(function RunRow(props: Props) {
  const { run, position, columns, template, top, height, selected, nowMs, toggle, openMenu } = props
  const tags = run.config.tags.filter((tag) => tag !== 'comparison')
  const row = useRef<HTMLTableRowElement>(null)
  // biome-ignore lint/correctness/useExhaustiveDependencies: the row now shows another run, which was not the one with the focus
  useLayoutEffect(() => {
    forgetFullName()
    const focused = document.activeElement
    if (focused instanceof HTMLElement && row.current?.contains(focused)) focused.blur()
  }, [run.runId])
  return (
    <tr
      ref={row}
      aria-rowindex={position + 1}
      className={classes['row']}
      data-selected={selected}
      data-testid="run-row"
      style={{ height, transform: `translateY(${top}px)`, gridTemplateColumns: template }}
      onMouseEnter={() => highlightRun(run.runId)}
      onMouseLeave={() => highlightRun(null)}
    >
      <td className={classes['name']}>
        <input
          type="checkbox"
          checked={selected}
          onChange={(event) => toggle(run.runId, (event.nativeEvent as MouseEvent).shiftKey)}
          aria-label={`Select ${run.name}`}
        />
        <RunSwatch runId={run.runId} />
        <Link to={`/runs/${run.runId}`} className={classes['link']}>
          {run.name}
        </Link>
        {tags.slice(0, 2).map((tag) => (
          <span key={tag} className={classes['tag']} title={tags.join(', ')}>
            {tag}
          </span>
        ))}
      </td>
      {columns.map((column) => (
        <td key={column.id} className={classes['cell']} data-numeric={column.numeric}>
          <Cell column={column} run={run} nowMs={nowMs} />
        </td>
      ))}
      <td>
        <button
          type="button"
          className={classes['menu']}
          aria-label={`Commands for ${run.name}`}
          aria-haspopup="menu"
          onClick={(event) => openMenu(run, event.currentTarget)}
        >
          <IconDots size={16} />
        </button>
      </td>
    </tr>
  )
})

function Cell({ column, run, nowMs }: { column: RunColumn; run: RunView; nowMs: number }) {
  if (column.id === 'state') return <StateBadge run={run} plain />
  if (column.id === 'progress') {
    const share = progressOf(run) ?? 0
    const text = progressText(run)
    return (
      <>
        <span className={classes['progressText']}>{text}</span>
        <span className={classes['progress']} aria-hidden>
          <span
            className={classes['bar']}
            style={{ width: `${100 * share}%` }}
            data-state={run.state === 'failed' ? 'failed' : isActive(run.state) ? 'active' : 'ended'}
          />
        </span>
      </>
    )
  }
  const text = column.text(run, nowMs)
  if (column.id === 'created') return <time dateTime={new Date(run.createdMs).toISOString()}>{text}</time>
  return <span>{text}</span>
}
