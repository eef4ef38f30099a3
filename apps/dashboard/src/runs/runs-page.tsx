/** All runs: find them, see how they do, command them, choose some to compare. */
import { Button, Group, Skeleton, Stack, Switch, Text, Title, Tooltip } from '@mantine/core'
import type { RunView } from '@rankscope/protocol'
import { IconPlus } from '@tabler/icons-react'
import { useCallback, useMemo, useRef, useState } from 'react'
import { Link, useNavigate } from 'react-router'
import { useRuns } from '../api/queries.ts'
import { formatExact } from '../common/format.ts'
import { ErrorNotice, Notice } from '../common/notice.tsx'
import { serverClock } from '../common/server-clock.ts'
import { useViewFlag, useViewList, useViewText } from '../common/view-state.ts'
import { useShortcuts } from '../shell/shortcuts.ts'
import { parseFilter } from './filter.ts'
import { FilterInput } from './filter-input.tsx'
import { ColumnsMenu, GroupSelect, SavedViews } from './list-options.tsx'
import { columnOf, defaultColumns } from './run-columns.ts'
import { RunCommandButtons } from './run-commands.tsx'
import { fieldNames, fieldReader } from './run-fields.ts'
import { RunsTable } from './runs-table.tsx'
import { isArchived, TagActions } from './tag-actions.tsx'

export function RunsPage() {
  const { data: runs, error, refetch } = useRuns()
  const [query, setQuery] = useViewText('q', '')
  const [sort, setSort] = useViewText('sort', '-created')
  const [groupField, setGroupField] = useViewText('by', 'group')
  const [columnText, setColumnText] = useViewText('cols', defaultColumns.join(','))
  const [withArchived, setWithArchived] = useViewFlag('archived')
  const [selectedIds, setSelectedIds] = useViewList('selected')
  const search = useRef<HTMLInputElement>(null)
  const navigate = useNavigate()

  // New names of fields come with new kinds of runs, not with every step of one.
  const fieldText = useMemo(() => fieldNames(runs ?? []).join(' '), [runs])
  const fields = useMemo(() => fieldText.split(' '), [fieldText])
  const known = useMemo(() => new Set(fields), [fields])
  const parsed = useMemo(() => parseFilter(query, known), [query, known])
  const [lastFilter, setLastFilter] = useState(() => parsed.filter)
  if (parsed.filter && parsed.filter !== lastFilter) setLastFilter(() => parsed.filter)
  // While a filter is being written, the list stays as the last one that could be understood left it.
  const filter = parsed.filter ?? lastFilter
  const shown = useMemo(() => {
    const now = serverClock.at(Date.now())
    return (runs ?? []).filter(
      (run) => (withArchived || !isArchived(run)) && (filter === null || filter(run, now)),
    )
  }, [runs, filter, withArchived])
  // One run serves as an example of all; which one must not change with each of its steps.
  const [example, setExample] = useState<RunView>()
  if (!example && runs?.[0]) setExample(runs[0])
  const columns = useMemo(
    () => columnText.split(',').flatMap((id) => (id === '' ? [] : (columnOf(id, known, example) ?? []))),
    [columnText, known, example],
  )
  const groupBy = useMemo(() => {
    const read = groupField === '' ? null : fieldReader(groupField, known)
    return read && ((run: RunView) => read(run, 0))
  }, [groupField, known])
  const selected = useMemo(() => new Set(selectedIds), [selectedIds])
  const setSelected = useCallback((ids: ReadonlySet<string>) => setSelectedIds([...ids]), [setSelectedIds])
  const chosen = useMemo(
    () => (selected.size === 0 ? [] : (runs ?? []).filter((run) => selected.has(run.runId))),
    [runs, selected],
  )
  const archived = (runs ?? []).filter(isArchived).length
  const sorting = useMemo(() => ({ id: sort.replace(/^-/, ''), desc: sort.startsWith('-') }), [sort])
  const compare = () => void navigate(`/compare?runs=${chosen.map((run) => run.runId).join(',')}`)
  useShortcuts([
    { keys: '/', group: 'Runs', label: 'Search', run: () => search.current?.focus() },
    {
      keys: 'c',
      group: 'Runs',
      label: 'Compare the selected runs',
      run: () => chosen.length > 0 && compare(),
    },
  ])

  return (
    <Stack gap="sm">
      <Group justify="space-between">
        <Title order={2}>Runs</Title>
        <Button component={Link} to="/launch" leftSection={<IconPlus size={16} />}>
          Launch
        </Button>
      </Group>
      {error ? <ErrorNotice error={error} retry={() => void refetch()} /> : null}
      {runs === undefined && !error ? <LoadingRows /> : null}
      {runs?.length === 0 ? (
        <Notice
          title="No runs yet"
          text="Launch one, or the ready-made comparison of LoRA, PiSSA and HD-PiSSA: it takes a few minutes on two cores and needs no download."
        >
          <Button component={Link} to="/launch?preset=comparison">
            Compare LoRA, PiSSA and HD-PiSSA
          </Button>
        </Notice>
      ) : null}
      {runs && runs.length > 0 ? (
        <>
          <Group gap="sm" align="flex-start">
            <FilterInput
              input={search}
              value={query}
              onChange={setQuery}
              error={parsed.error}
              fields={fields}
              runs={runs}
            />
            <GroupSelect fields={fields} value={groupField} setValue={setGroupField} />
            <ColumnsMenu
              fields={fields}
              columns={columns.map(({ id }) => id)}
              setColumns={(ids) => setColumnText(ids.join(','))}
            />
            <SavedViews />
          </Group>
          <Group gap="sm" mih={30}>
            <Text size="sm" c="dimmed" role="status">
              {shown.length === runs.length
                ? `${formatExact(runs.length)} ${runs.length === 1 ? 'run' : 'runs'}`
                : `${formatExact(shown.length)} of ${formatExact(runs.length)} runs`}
              {chosen.length > 0 ? `, ${formatExact(chosen.length)} selected` : ''}
            </Text>
            {archived > 0 ? (
              <Switch
                size="xs"
                label={`Archived too (${formatExact(archived)})`}
                checked={withArchived}
                onChange={(event) => setWithArchived(event.currentTarget.checked)}
              />
            ) : null}
            {chosen.length > 0 ? (
              <>
                <Tooltip label="Overlay their charts (c)">
                  <Button size="compact-sm" onClick={compare}>
                    Compare
                  </Button>
                </Tooltip>
                <TagActions runs={chosen} />
                <RunCommandButtons runs={chosen} onDeleted={() => setSelectedIds([])} />
                <Button size="compact-sm" variant="subtle" onClick={() => setSelectedIds([])}>
                  Clear
                </Button>
              </>
            ) : (
              <Text size="sm" c="dimmed" visibleFrom="sm">
                Select runs to compare them.
              </Text>
            )}
          </Group>
          {shown.length > 0 ? (
            <RunsTable
              runs={shown}
              columns={columns}
              groupBy={groupBy}
              selected={selected}
              setSelected={setSelected}
              sort={sorting}
              setSort={({ id, desc }) => setSort(`${desc ? '-' : ''}${id}`)}
            />
          ) : (
            <Notice title="No run matches" text="Shorten the query, or clear it.">
              <Button variant="light" onClick={() => setQuery('')}>
                Clear the query
              </Button>
            </Notice>
          )}
        </>
      ) : null}
    </Stack>
  )
}

function LoadingRows() {
  return (
    <Stack gap={6} aria-label="Loading runs" aria-busy>
      {Array.from({ length: 8 }, (_, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: rows without identity
        <Skeleton key={index} height={40} />
      ))}
    </Stack>
  )
}
