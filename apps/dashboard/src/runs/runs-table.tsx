/** The list itself: sorted, grouped by any field, only the visible rows mounted, one menu for all of them. */
import { isActive, type RunView } from '@rankscope/protocol'
import { IconChevronDown, IconChevronRight, IconChevronUp } from '@tabler/icons-react'
import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { useCallback, useLayoutEffect, useMemo, useRef, useState } from 'react'
import { useNow } from '../common/use-now.ts'
import { forgetFullName, nameInFull } from './full-name.ts'
import { RowSlots } from './row-slots.ts'
import type { RunColumn } from './run-columns.ts'
import { RunCommandMenu } from './run-commands.tsx'
import type { FieldValue } from './run-fields.ts'
import { type GroupLine, groupLines, type Line, sortRuns } from './run-lines.ts'
import { RunRow } from './run-row.tsx'
import classes from './runs-table.module.css'

type Props = {
  runs: readonly RunView[]
  columns: readonly RunColumn[]
  /** How the grouping field is read; null: no groups. */
  groupBy: ((run: RunView) => FieldValue) | null
  selected: ReadonlySet<string>
  setSelected: (runIds: ReadonlySet<string>) => void
  sort: { id: string; desc: boolean }
  setSort: (sort: { id: string; desc: boolean }) => void
}

const rowHeight = 44
/** Rows mounted above and below those in sight. */
const overscan = 10
const nameColumn: RunColumn = {
  id: 'name',
  title: 'Run',
  width: 270,
  numeric: false,
  value: (run) => run.name,
  text: (run) => run.name,
}
/** Ages of runs that have ended change this often. */
const coarseMs = 60_000

export function RunsTable({ runs, columns, groupBy, selected, setSelected, sort, setSort }: Props) {
  const now = useNow(
    1000,
    runs.some((run) => isActive(run.state)),
  )
  const coarse = Math.floor(now / coarseMs) * coarseMs
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set())
  const [menu, setMenu] = useState<{ run: RunView; target: HTMLElement } | null>(null)
  const by = [nameColumn, ...columns].find((column) => column.id === sort.id) ?? nameColumn
  // Whatever counts seconds keeps its order from one second to the next.
  const sorted = useMemo(() => sortRuns(runs, by, sort.desc, coarse), [runs, by, sort.desc, coarse])
  const lines = useMemo(
    () =>
      groupBy
        ? groupLines(sorted, groupBy, columns, closed, coarse)
        : sorted.map((run): Line => ({ kind: 'run', run })),
    [sorted, groupBy, columns, closed, coarse],
  )

  const list = useRef<HTMLTableSectionElement>(null)
  const [offset, setOffset] = useState(0)
  useLayoutEffect(() => {
    const top = list.current?.getBoundingClientRect().top ?? 0
    setOffset(top + window.scrollY)
  }, [])
  const virtualizer = useWindowVirtualizer({
    count: lines.length,
    estimateSize: () => rowHeight,
    overscan,
    scrollMargin: offset,
    useFlushSync: false,
  })
  const [slots] = useState(() => ({ run: new RowSlots(), group: new RowSlots() }))
  const mounted = virtualizer.getVirtualItems().map((item) => ({ item, line: lines[item.index]! }))
  const slotOf = slotsOf(
    slots,
    mounted.map(({ line }) => line),
  )
  // While one scrolls, elements also keep their places among each other, since a moved one is styled anew.
  if (virtualizer.isScrolling) mounted.sort((a, b) => slotOf(a.line) - slotOf(b.line))
  const template = [
    `minmax(min(${nameColumn.width}px, 56vw), 1fr)`,
    ...columns.map((column) => `${column.width}px`),
    '40px',
  ].join(' ')

  const latest = useRef({ selected, lines, last: null as string | null })
  latest.current.selected = selected
  latest.current.lines = lines
  const toggle = useCallback(
    (runId: string, range: boolean) => {
      const { selected: before, lines: shown, last } = latest.current
      const ids = shown.flatMap((line) => (line.kind === 'run' ? line.run.runId : []))
      const [from, to] = [ids.indexOf(last ?? ''), ids.indexOf(runId)].sort((a, b) => a - b)
      // With shift: everything between the last one and this one.
      const chosen = range && from !== undefined && from >= 0 ? ids.slice(from, to! + 1) : [runId]
      const on = !before.has(runId)
      const next = new Set(before)
      for (const id of chosen) on ? next.add(id) : next.delete(id)
      latest.current.last = runId
      setSelected(next)
    },
    [setSelected],
  )
  const toggleGroup = (group: GroupLine) => {
    const next = new Set(selected)
    const all = group.runs.every((run) => selected.has(run.runId))
    for (const { runId } of group.runs) all ? next.delete(runId) : next.add(runId)
    setSelected(next)
  }
  const openMenu = useCallback((run: RunView, target: HTMLElement) => setMenu({ run, target }), [])
  const fold = (name: string) => {
    const next = new Set(closed)
    if (!next.delete(name)) next.add(name)
    setClosed(next)
  }

  return (
    <div className={classes['scroll']}>
      <table aria-label="Runs" aria-rowcount={lines.length + 1} className={classes['table']}>
        <thead>
          <tr aria-rowindex={1} className={classes['head']} style={{ gridTemplateColumns: template }}>
            {[nameColumn, ...columns].map((column) => (
              <Header key={column.id} column={column} sort={sort} setSort={setSort} />
            ))}
            <th>
              <span className={classes['hidden']}>Commands</span>
            </th>
          </tr>
        </thead>
        <tbody
          ref={list}
          style={{ height: virtualizer.getTotalSize() }}
          onMouseOver={nameInFull}
          onFocus={nameInFull}
          onMouseOut={forgetFullName}
          onBlur={forgetFullName}
        >
          {mounted.map(({ item, line }) => {
            const top = item.start - virtualizer.options.scrollMargin
            return line.kind === 'group' ? (
              <GroupRow
                key={`group ${slotOf(line)}`}
                group={line}
                columns={columns}
                template={template}
                top={top}
                chosen={line.runs.filter((run) => selected.has(run.runId)).length}
                isClosed={closed.has(line.name)}
                toggle={() => toggleGroup(line)}
                fold={() => fold(line.name)}
              />
            ) : (
              <RunRow
                key={`run ${slotOf(line)}`}
                position={item.index + 1}
                run={line.run}
                columns={columns}
                template={template}
                top={top}
                height={rowHeight}
                selected={selected.has(line.run.runId)}
                nowMs={isActive(line.run.state) ? now : coarse}
                toggle={toggle}
                openMenu={openMenu}
              />
            )
          })}
        </tbody>
      </table>
      {menu ? <RunCommandMenu run={menu.run} target={menu.target} close={() => setMenu(null)} /> : null}
    </div>
  )
}

/** The slot of each mounted line among its kind. */
function slotsOf(slots: Record<Line['kind'], RowSlots>, lines: readonly Line[]): (line: Line) => number {
  const found = new Map<Line, number>()
  for (const kind of ['run', 'group'] as const) {
    const same = lines.filter((line) => line.kind === kind)
    const given = slots[kind].assign(same.map((line) => (line.kind === 'run' ? line.run.runId : line.name)))
    for (const [index, line] of same.entries()) found.set(line, given[index]!)
  }
  return (line) => found.get(line)!
}

function Header({ column, sort, setSort }: { column: RunColumn } & Pick<Props, 'sort' | 'setSort'>) {
  const direction = sort.id === column.id ? (sort.desc ? 'descending' : 'ascending') : 'none'
  return (
    <th aria-sort={direction}>
      <button
        type="button"
        onClick={() => setSort({ id: column.id, desc: sort.id === column.id ? !sort.desc : column.numeric })}
        className={classes['sort']}
        data-numeric={column.numeric}
        title={column.title}
      >
        <span className={classes['title']}>{column.title}</span>
        {direction === 'ascending' ? <IconChevronUp size={13} /> : null}
        {direction === 'descending' ? <IconChevronDown size={13} /> : null}
      </button>
    </th>
  )
}

/** The heading of a group: its number of runs, and mean ± deviation of every numeric column. */
function GroupRow(props: {
  group: GroupLine
  columns: readonly RunColumn[]
  template: string
  top: number
  chosen: number
  isClosed: boolean
  toggle: () => void
  fold: () => void
}) {
  const { group, columns, template, top, chosen, isClosed, toggle, fold } = props
  const count = group.runs.length
  return (
    <tr
      className={classes['group']}
      data-testid="group-row"
      style={{ height: rowHeight, transform: `translateY(${top}px)`, gridTemplateColumns: template }}
    >
      <td className={classes['name']}>
        <input
          type="checkbox"
          checked={chosen === count}
          ref={(box) => {
            if (box) box.indeterminate = chosen > 0 && chosen < count
          }}
          onChange={toggle}
          aria-label={`Select group ${group.name}`}
        />
        <button type="button" className={classes['fold']} onClick={fold} aria-expanded={!isClosed}>
          {isClosed ? <IconChevronRight size={14} /> : <IconChevronDown size={14} />}
          <span className={classes['title']} title={group.name}>
            {group.name === 'none' ? 'Without' : group.name}
          </span>
        </button>
        <span className={classes['count']}>{count === 1 ? '1 run' : `${count} runs`}</span>
      </td>
      {columns.map((column) => {
        const { mean, deviation } = group.means.get(column.id) ?? { mean: null, deviation: null }
        if (!column.format || mean === null) return <td key={column.id} />
        const around = deviation === null ? '' : `± ${column.format(deviation)}`
        return (
          <td key={column.id} className={classes['cell']} data-numeric title="mean ± standard deviation">
            <span>{column.format(mean)}</span>
            <span>{around}</span>
          </td>
        )
      })}
      <td />
    </tr>
  )
}
