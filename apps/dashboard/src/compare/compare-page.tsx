/** Runs overlaid: charts, a table of results, and what differs between their settings. */
import { Button, Loader, Stack, Switch, Tabs, Text, Title } from '@mantine/core'
import type { RunView } from '@rankscope/protocol'
import { useCallback, useEffect, useMemo } from 'react'
import { Link } from 'react-router'
import { useRuns } from '../api/queries.ts'
import { RunCharts } from '../charts/run-charts.tsx'
import { useCurves } from '../charts/use-curves.ts'
import { ErrorNotice, Notice } from '../common/notice.tsx'
import { useViewChoice, useViewFlag, useViewList, useViewText } from '../common/view-state.ts'
import { useRunStores } from '../live/live-context.tsx'
import { LayerMapPanel } from '../spectra-views/layer-map-panel.tsx'
import classes from './compare-page.module.css'
import { configKey } from './config-diff.ts'
import { DiffTable } from './diff-table.tsx'
import { releasePrefetched } from './prefetch.ts'
import { RunPicker } from './run-picker.tsx'
import { SummaryTable } from './summary-table.tsx'

const topics = ['spectra'] as const
const tabs = ['charts', 'modules', 'summary', 'settings'] as const

/** Without a choice in the address: the newest group, or the newest runs. */
const defaultRuns = 4

export function ComparePage() {
  const { data: runs, error, refetch } = useRuns()
  const [chosen, setChosen] = useViewList('runs')
  const [hidden, setHidden] = useViewList('hidden')
  const [pinned, setPinned] = useViewList('pinned')
  const [tab, setTab] = useViewChoice('tab', tabs, 'charts')
  const [grouped, setGrouped] = useViewFlag('seeds')
  const compared = useMemo(() => pick(runs ?? [], chosen, pinned), [runs, chosen, pinned])
  const visible = useMemo(() => compared.filter((run) => !hidden.includes(run.runId)), [compared, hidden])
  const loaded = useRunStores(
    visible.map((run) => run.runId),
    topics,
  )
  const isHere = runs !== undefined
  // After the effect above took hold of the same runs.
  useEffect(() => {
    if (isHere) releasePrefetched()
    return releasePrefetched
  }, [isHere])
  const curves = useCurves(visible, loaded.stores, null)
  const [, setModule] = useViewText('module', '')
  const openModule = (module: string) => {
    setModule(module)
    setTab('charts')
  }
  const keyOf = useCallback((run: RunView) => configKey(run.config), [])
  const repeats = new Set(visible.map(keyOf)).size < visible.length

  if (error && !runs) return <ErrorNotice error={error} retry={() => void refetch()} />
  if (!runs) return <Loader m="xl" aria-label="Loading runs" />
  if (runs.length === 0) {
    return (
      <Notice title="Nothing to compare yet" text="Launch the ready-made comparison, then watch it here.">
        <Button component={Link} to="/launch?preset=comparison">
          Launch a comparison
        </Button>
      </Notice>
    )
  }
  return (
    <Stack gap="sm">
      <Title order={2}>Compare</Title>
      <div className={classes['layout']}>
        <RunPicker
          runs={runs}
          compared={compared}
          hidden={hidden}
          pinned={pinned}
          setChosen={setChosen}
          setHidden={setHidden}
          setPinned={setPinned}
        />
        <div className={classes['content']}>
          {loaded.error ? <ErrorNotice error={loaded.error} retry={loaded.retry} /> : null}
          {loaded.ready < visible.length ? (
            <Text size="sm" c="dimmed" role="status" mb="xs">
              {loaded.ready} of {visible.length} runs loaded
            </Text>
          ) : null}
          <Tabs value={tab} onChange={(value) => setTab(value as typeof tab)} keepMounted={false}>
            <Tabs.List mb="sm">
              <Tabs.Tab value="charts">Charts</Tabs.Tab>
              <Tabs.Tab value="modules">Layer maps</Tabs.Tab>
              <Tabs.Tab value="summary">Results</Tabs.Tab>
              <Tabs.Tab value="settings">Settings</Tabs.Tab>
              {repeats ? (
                <Switch
                  ml="auto"
                  my="auto"
                  size="xs"
                  label="Join seeds"
                  checked={grouped}
                  onChange={(event) => setGrouped(event.currentTarget.checked)}
                />
              ) : null}
            </Tabs.List>
            <Tabs.Panel value="charts">
              {visible.length === 0 ? (
                <Notice title="No run is shown" text="Open an eye in the list, or add a run to it." />
              ) : (
                <RunCharts runs={visible} loaded={loaded} groupKey={grouped && repeats ? keyOf : null} />
              )}
            </Tabs.Panel>
            <Tabs.Panel value="modules">
              <LayerMapPanel curves={curves} openModule={openModule} />
            </Tabs.Panel>
            <Tabs.Panel value="summary">
              <SummaryTable runs={compared} grouped={grouped && repeats} keyOf={keyOf} />
            </Tabs.Panel>
            <Tabs.Panel value="settings">
              <DiffTable runs={compared} />
            </Tabs.Panel>
          </Tabs>
        </div>
      </div>
    </Stack>
  )
}

/** The chosen runs, pinned ones first; where none is chosen, the newest group. */
function pick(runs: readonly RunView[], chosen: readonly string[], pinned: readonly string[]): RunView[] {
  const oldestFirst = [...runs].sort((a, b) => a.createdMs - b.createdMs)
  const group = oldestFirst.at(-1)?.config.group ?? null
  const fallback =
    group === null ? oldestFirst.slice(-defaultRuns) : oldestFirst.filter((run) => run.config.group === group)
  const found = chosen.flatMap((runId) => runs.find((run) => run.runId === runId) ?? [])
  const picked = chosen.length > 0 ? found : fallback
  const isPinned = (run: RunView) => pinned.includes(run.runId)
  return [...picked.filter(isPinned), ...picked.filter((run) => !isPinned(run))]
}
