/** ΔW against the weight that it changes, of one module at one step: bands, overlaps, rotation, subspaces over time and between runs. */
import { Group, Paper, Select, Text } from '@mantine/core'
import { useMemo } from 'react'
import type { RunCurve } from '../charts/use-curves.ts'
import type { SpectrumView } from '../charts/use-spectrum-view.ts'
import { formatExact, shortModule } from '../common/format.ts'
import { useViewChoice } from '../common/view-state.ts'
import { useTopicVersion } from '../live/live-context.tsx'
import { RunSwatch } from '../runs/run-swatch.tsx'
import classes from './analyses.module.css'
import { type AnalysisName, analyses, analysisNames } from './analyses.ts'
import { AnalysisOfRun } from './analysis-of-run.tsx'
import { TwoRuns } from './two-runs.tsx'
import { useProfiles } from './use-profiles.ts'

type Props = { curves: readonly RunCurve[]; view: SpectrumView }

/** More runs than these would not be read side by side. */
const mostRuns = 6

export function AnalysesPanel({ curves, view }: Props) {
  const [chosen, setChosen] = useViewChoice('analysis', analysisNames, 'energy')
  const stores = useMemo(() => curves.map(({ store }) => store), [curves])
  useTopicVersion(stores, 'spectra')
  const offered = analysisNames.filter(
    (name) =>
      (name !== 'runs' || curves.length > 1) &&
      (name !== 'slices' || curves.some(({ run }) => run.config.method.name === 'hd-pissa')),
  )
  const name: AnalysisName = offered.includes(chosen) ? chosen : 'energy'
  const { title, formula, source, help } = analyses[name]
  const { module } = view
  if (module === null) return null
  return (
    <Paper
      withBorder
      p="sm"
      component="section"
      aria-label="ΔW against W"
      data-testid="analyses"
      className={name !== 'runs' && curves.length > 2 ? classes['wide'] : undefined}
    >
      <Group gap="xs" mb={6}>
        <Text fw={600} size="sm">
          ΔW against W
        </Text>
        <Select
          size="xs"
          w={270}
          aria-label="Analysis"
          allowDeselect={false}
          value={name}
          onChange={(value) => value !== null && setChosen(value)}
          data={offered.map((value) => ({ value, label: analyses[value].title }))}
        />
        <Text size="xs" c="dimmed">
          {shortModule(module)}
        </Text>
      </Group>
      {name === 'runs' ? (
        <TwoRuns curves={curves} module={module} />
      ) : (
        <RunsSideBySide curves={curves.slice(0, mostRuns)} view={view} name={name} />
      )}
      {name !== 'runs' && curves.length > mostRuns ? (
        <Text size="xs" c="dimmed" mt={6}>
          The first {mostRuns} of {formatExact(curves.length)} runs.
        </Text>
      ) : null}
      <Text size="xs" c="dimmed" mt={6}>
        <b>{title}</b>: {formula} ({source}). {help}
      </Text>
    </Paper>
  )
}

function RunsSideBySide(props: {
  curves: readonly RunCurve[]
  view: SpectrumView
  name: Exclude<AnalysisName, 'runs'>
}) {
  const { curves, view, name } = props
  const { module, step } = view
  const wanted = curves.map(({ runId, store }) => ({
    runId,
    entry:
      module === null
        ? null
        : step === null
          ? store.spectra.latest(module, 'total')
          : store.spectra.at(module, 'total', step),
  }))
  const { profiles, error } = useProfiles(wanted, analyses[name].needs)
  return (
    <>
      {error ? (
        <Text size="xs" c="red" role="alert">
          {error}
        </Text>
      ) : null}
      <div className={classes['runs']}>
        {curves.map((curve, index) => {
          const { entry } = wanted[index]!
          if (!entry) return null
          return (
            <div key={curve.runId}>
              <Text size="xs" mb={4}>
                {curves.length > 1 ? (
                  <>
                    <RunSwatch runId={curve.runId} /> {curve.label},{' '}
                  </>
                ) : null}
                step {formatExact(entry.step)}
              </Text>
              <AnalysisOfRun name={name} profiles={profiles[index]} curve={curve} />
            </div>
          )
        })}
      </div>
    </>
  )
}
