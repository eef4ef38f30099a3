/** One run: its state and commands, its charts, and behind tabs its logs, samples, configuration and files. */
import { Button, Loader, Stack, Tabs } from '@mantine/core'
import { RankscopeError } from '@rankscope/protocol'
import { useMemo } from 'react'
import { useNavigate, useParams } from 'react-router'
import { useRun, useRuns } from '../api/queries.ts'
import { RunCharts } from '../charts/run-charts.tsx'
import { useCurves } from '../charts/use-curves.ts'
import { ErrorNotice, Notice } from '../common/notice.tsx'
import { usePageTitle } from '../common/page-title.ts'
import { useViewChoice, useViewText } from '../common/view-state.ts'
import { ExportPanel } from '../exports/export-panel.tsx'
import { useRunStores } from '../live/live-context.tsx'
import { useShortcuts } from '../shell/shortcuts.ts'
import { LayerMapPanel } from '../spectra-views/layer-map-panel.tsx'
import { ConfigPanel } from './config-panel.tsx'
import { DataPanel } from './data-panel.tsx'
import { FilesPanel } from './files-panel.tsx'
import { ItemsPanel } from './items-panel.tsx'
import { LogPanel } from './log-panel.tsx'
import { RunFigures } from './run-figures-strip.tsx'
import { RunHeader } from './run-header.tsx'
import { SamplesPanel } from './samples-panel.tsx'
import { WhenLoaded } from './when-loaded.tsx'

const topics = ['spectra', 'evaluations', 'logs', 'samples', 'files'] as const
const tabs = ['charts', 'modules', 'samples', 'data', 'logs', 'config', 'files'] as const
/** Of a job that trains nothing. */
const evaluationTabs = ['samples', 'logs', 'config'] as const
const tabLabels: Record<(typeof tabs)[number], string> = {
  charts: 'Charts',
  modules: 'Layer map',
  samples: 'Samples',
  data: 'Data',
  logs: 'Log',
  config: 'Configuration',
  files: 'Files',
}

export function RunPage() {
  const runId = useParams()['runId']!
  const { data: runs, error, refetch } = useRuns()
  const run = useRun(runId)
  const navigate = useNavigate()
  usePageTitle(run ? run.name : 'Run')
  const evaluates = run?.config.job.kind === 'evaluation'
  const shownTabs: readonly (typeof tabs)[number][] = evaluates ? evaluationTabs : tabs
  const [tab, setTab] = useViewChoice('tab', shownTabs, shownTabs[0]!)
  const labelOf = (name: (typeof tabs)[number]) =>
    evaluates && name === 'samples' ? 'Items' : tabLabels[name]
  const loaded = useRunStores([runId], topics)
  const shownRuns = useMemo(() => (run ? [run] : []), [run])
  const curves = useCurves(shownRuns, loaded.stores, null)
  const [, setModule] = useViewText('module', '')
  const openModule = (module: string) => {
    setModule(module)
    setTab('charts')
  }
  useShortcuts(
    shownTabs.map((name, index) => ({
      keys: String(index + 1),
      group: 'Run',
      label: labelOf(name),
      run: () => setTab(name),
    })),
  )

  if (error && !runs) return <ErrorNotice error={error} retry={() => void refetch()} />
  if (!runs) return <Loader m="xl" aria-label="Loading the run" />
  if (!run) {
    return (
      <Notice title="This run does not exist" text="It may have been deleted.">
        <Button variant="light" onClick={() => void navigate('/runs')}>
          All runs
        </Button>
      </Notice>
    )
  }
  const [store] = loaded.stores
  return (
    <Stack gap="sm">
      <RunHeader run={run} />
      {run.error ? <ErrorNotice error={RankscopeError.fromPayload(run.error)} /> : null}
      <RunFigures run={run} />
      {loaded.error ? <ErrorNotice error={loaded.error} retry={loaded.retry} /> : null}
      <Tabs value={tab} onChange={(value) => setTab(value as typeof tab)} keepMounted={false}>
        <Tabs.List mb="sm">
          {shownTabs.map((name) => (
            <Tabs.Tab key={name} value={name}>
              {labelOf(name)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="charts">
          <RunCharts runs={[run]} loaded={loaded} groupKey={null} />
        </Tabs.Panel>
        <Tabs.Panel value="modules">
          <WhenLoaded store={store} topic="spectra">
            {() => <LayerMapPanel curves={curves} openModule={openModule} />}
          </WhenLoaded>
        </Tabs.Panel>
        <Tabs.Panel value="samples">
          <WhenLoaded store={store} topic="samples">
            {(shown) =>
              evaluates ? <ItemsPanel store={shown} run={run} /> : <SamplesPanel store={shown} run={run} />
            }
          </WhenLoaded>
        </Tabs.Panel>
        <Tabs.Panel value="data">
          <DataPanel run={run} />
        </Tabs.Panel>
        <Tabs.Panel value="logs">
          <WhenLoaded store={store} topic="logs">
            {(shown) => <LogPanel store={shown} />}
          </WhenLoaded>
        </Tabs.Panel>
        <Tabs.Panel value="config">
          <ConfigPanel config={run.config} name={run.name} />
        </Tabs.Panel>
        <Tabs.Panel value="files">
          <WhenLoaded store={store} topic="files">
            {(shown) => (
              <Stack gap="md">
                <ExportPanel store={shown} run={run} />
                <FilesPanel store={shown} run={run} />
              </Stack>
            )}
          </WhenLoaded>
        </Tabs.Panel>
      </Tabs>
    </Stack>
  )
}
