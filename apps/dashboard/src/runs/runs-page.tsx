/** All runs: find them, see how they do, command them, choose some to compare. */
import { Button, Group, Skeleton, Stack, Switch, Text, TextInput, Title, Tooltip } from '@mantine/core'
import { IconPlus, IconSearch } from '@tabler/icons-react'
import { useMemo, useRef } from 'react'
import { Link, useNavigate } from 'react-router'
import { useRuns } from '../api/queries.ts'
import { ErrorNotice, Notice } from '../common/notice.tsx'
import { useViewFlag, useViewList, useViewText } from '../common/view-state.ts'
import { useShortcuts } from '../shell/shortcuts.ts'
import { RunCommandButtons } from './run-commands.tsx'
import { matchesQuery, parseQuery } from './run-query.ts'
import { RunsTable } from './runs-table.tsx'

export function RunsPage() {
  const { data: runs, error, refetch } = useRuns()
  const [query, setQuery] = useViewText('q', '')
  const [sort, setSort] = useViewText('sort', '-created')
  const [grouped, setGrouped] = useViewFlag('grouped', true)
  const [selected, setSelected] = useViewList('selected')
  const search = useRef<HTMLInputElement>(null)
  const navigate = useNavigate()

  const { conditions, problems } = useMemo(() => parseQuery(query), [query])
  const shown = useMemo(() => (runs ?? []).filter((run) => matchesQuery(run, conditions)), [runs, conditions])
  const chosen = (runs ?? []).filter((run) => selected.includes(run.runId))
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
          <Group gap="sm">
            <TextInput
              ref={search}
              flex={1}
              miw={220}
              aria-label="Search runs"
              placeholder="state:running  method:hd-pissa  loss<0.5  otter"
              leftSection={<IconSearch size={15} />}
              value={query}
              onChange={(event) => setQuery(event.currentTarget.value)}
              onKeyDown={(event) => event.key === 'Escape' && event.currentTarget.blur()}
              error={problems.length > 0 ? problems.join('; ') : null}
            />
            <Switch
              label="Group"
              checked={grouped}
              onChange={(event) => setGrouped(event.currentTarget.checked)}
            />
          </Group>
          <Group gap="sm" mih={30}>
            <Text size="sm" c="dimmed">
              {shown.length === runs.length
                ? `${runs.length} ${runs.length === 1 ? 'run' : 'runs'}`
                : `${shown.length} of ${runs.length} runs`}
              {chosen.length > 0 ? `, ${chosen.length} selected` : ''}
            </Text>
            {chosen.length > 0 ? (
              <>
                <Tooltip label="Overlay their charts (c)">
                  <Button size="compact-sm" onClick={compare}>
                    Compare
                  </Button>
                </Tooltip>
                <RunCommandButtons runs={chosen} onDeleted={() => setSelected([])} />
                <Button size="compact-sm" variant="subtle" onClick={() => setSelected([])}>
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
              grouped={grouped}
              selected={selected}
              setSelected={setSelected}
              sort={{ id: sort.replace(/^-/, ''), desc: sort.startsWith('-') }}
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
