/** The list itself: sorted and grouped by TanStack Table, only the visible rows mounted. */
import { Checkbox, Group, Text, UnstyledButton } from '@mantine/core'
import type { RunView } from '@rankscope/protocol'
import { IconChevronDown, IconChevronUp } from '@tabler/icons-react'
import {
  flexRender,
  getCoreRowModel,
  getSortedRowModel,
  type Row,
  type RowSelectionState,
  type SortingState,
  useReactTable,
} from '@tanstack/react-table'
import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { useLayoutEffect, useMemo, useRef, useState } from 'react'
import { highlightRun } from '../charts/highlight.ts'
import { useNow } from '../common/use-now.ts'
import { countsSeconds, runColumns } from './run-columns.tsx'
import classes from './runs-table.module.css'

type Props = {
  runs: readonly RunView[]
  grouped: boolean
  selected: readonly string[]
  setSelected: (runIds: string[]) => void
  sort: { id: string; desc: boolean }
  setSort: (sort: { id: string; desc: boolean }) => void
}

type Line = { kind: 'run'; row: Row<RunView> } | { kind: 'group'; name: string; rows: Row<RunView>[] }

const rowHeight = 44

export function RunsTable({ runs, grouped, selected, setSelected, sort, setSort }: Props) {
  const now = useNow(1000, countsSeconds(runs))
  const columns = useMemo(() => runColumns(now), [now])
  const data = useMemo(() => [...runs], [runs])
  const sorting: SortingState = useMemo(() => [{ id: sort.id, desc: sort.desc }], [sort.id, sort.desc])
  const rowSelection: RowSelectionState = useMemo(
    () => Object.fromEntries(selected.map((runId) => [runId, true])),
    [selected],
  )
  const table = useReactTable({
    data,
    columns,
    state: { sorting, rowSelection },
    getRowId: (run) => run.runId,
    getCoreRowModel: getCoreRowModel(),
    getSortedRowModel: getSortedRowModel(),
    enableSortingRemoval: false,
    // There are no pages; resetting them would set state at every change of the data.
    autoResetPageIndex: false,
    onSortingChange: (update) => {
      const [next] = typeof update === 'function' ? update(sorting) : update
      if (next) setSort(next)
    },
    onRowSelectionChange: (update) => {
      const next = typeof update === 'function' ? update(rowSelection) : update
      setSelected(Object.keys(next).filter((runId) => next[runId]))
    },
  })
  const rows = table.getRowModel().rows
  const lines = useMemo(() => (grouped ? groupLines(rows) : rows.map(asLine)), [rows, grouped])

  const list = useRef<HTMLTableSectionElement>(null)
  const [offset, setOffset] = useState(0)
  useLayoutEffect(() => setOffset(list.current?.offsetTop ?? 0), [])
  const virtualizer = useWindowVirtualizer({
    count: lines.length,
    estimateSize: () => rowHeight,
    overscan: 12,
    scrollMargin: offset,
  })
  const widths = table.getVisibleLeafColumns().map((column) => column.getSize())
  const template = widths
    .map((width, index) => (index === 0 ? `minmax(min(${width}px, 56vw), 1fr)` : `${width}px`))
    .join(' ')
  const toggle = (rowsToToggle: readonly Row<RunView>[]) => {
    const ids = rowsToToggle.map((row) => row.id)
    const all = ids.every((id) => selected.includes(id))
    setSelected(all ? selected.filter((id) => !ids.includes(id)) : [...new Set([...selected, ...ids])])
  }

  return (
    <div className={classes['scroll']}>
      <table aria-label="Runs" aria-rowcount={rows.length} className={classes['table']}>
        <thead>
          <tr className={classes['head']} style={{ gridTemplateColumns: template }}>
            {table.getFlatHeaders().map((header) => {
              const direction = header.column.getIsSorted()
              const numeric = (header.column.columnDef.meta as { numeric?: boolean } | undefined)?.numeric
              return (
                <th
                  key={header.id}
                  aria-sort={direction === 'asc' ? 'ascending' : direction === 'desc' ? 'descending' : 'none'}
                >
                  {header.column.getCanSort() ? (
                    <UnstyledButton
                      onClick={header.column.getToggleSortingHandler()}
                      className={classes['sort']!}
                      data-numeric={numeric ?? false}
                    >
                      {flexRender(header.column.columnDef.header, header.getContext())}
                      {direction === 'asc' ? <IconChevronUp size={13} /> : null}
                      {direction === 'desc' ? <IconChevronDown size={13} /> : null}
                    </UnstyledButton>
                  ) : null}
                </th>
              )
            })}
          </tr>
        </thead>
        <tbody ref={list} style={{ height: virtualizer.getTotalSize() }}>
          {virtualizer.getVirtualItems().map((item) => {
            const line = lines[item.index]!
            const style = {
              height: rowHeight,
              transform: `translateY(${item.start - virtualizer.options.scrollMargin}px)`,
            }
            if (line.kind === 'group') {
              const chosen = line.rows.filter((row) => selected.includes(row.id)).length
              return (
                <tr key={`group ${line.name}`} className={classes['group']} style={style}>
                  <td>
                    <Group gap={8}>
                      <Checkbox
                        size="xs"
                        checked={chosen === line.rows.length}
                        indeterminate={chosen > 0 && chosen < line.rows.length}
                        onChange={() => toggle(line.rows)}
                        aria-label={`Select group ${line.name}`}
                      />
                      <Text size="sm" fw={600}>
                        {line.name || 'Without a group'}
                      </Text>
                      <Text size="xs" c="dimmed">
                        {line.rows.length === 1 ? '1 run' : `${line.rows.length} runs`}
                      </Text>
                    </Group>
                  </td>
                </tr>
              )
            }
            return (
              <tr
                key={line.row.id}
                className={classes['row']}
                data-selected={line.row.getIsSelected()}
                data-testid="run-row"
                style={{ ...style, gridTemplateColumns: template }}
                onMouseEnter={() => highlightRun(line.row.id)}
                onMouseLeave={() => highlightRun(null)}
              >
                {line.row.getVisibleCells().map((cell) => (
                  <td key={cell.id} className={classes['cell']}>
                    {flexRender(cell.column.columnDef.cell, cell.getContext())}
                  </td>
                ))}
              </tr>
            )
          })}
        </tbody>
      </table>
    </div>
  )
}

function asLine(row: Row<RunView>): Line {
  return { kind: 'run', row }
}

/** A heading before the runs of each group, groups in the order of their first run. */
function groupLines(rows: readonly Row<RunView>[]): Line[] {
  const groups = new Map<string, Row<RunView>[]>()
  for (const row of rows) {
    const name = row.original.config.group ?? ''
    groups.set(name, [...(groups.get(name) ?? []), row])
  }
  return [...groups].flatMap(([name, members]): Line[] => [
    { kind: 'group', name, rows: members },
    ...members.map(asLine),
  ])
}
