/** A rank measure of ΔW over the steps. */
import { Group, Select, Text } from '@mantine/core'
import { memo, useCallback, useMemo, useState } from 'react'
import { shortModule } from '../common/format.ts'
import { useViewChoice, useViewFlag } from '../common/view-state.ts'
import { useTopicVersion } from '../live/live-context.tsx'
import type { RunStore } from '../live/run-store.ts'
import { ChartCard } from './chart-card.tsx'
import { measureFigure } from './measure-figure.ts'
import { measureChoices, measureNames, measures } from './measures.ts'
import type { RunCurve } from './use-curves.ts'
import { type SpectrumView, useMeasures } from './use-spectrum-view.ts'

type Props = {
  curves: readonly RunCurve[]
  stores: readonly RunStore[]
  view: SpectrumView
  empty: string
  height?: number
}

export const MeasureChart = memo(function MeasureChart(props: Props) {
  const { curves, stores, view, empty, height = 300 } = props
  const [measure, setMeasure] = useViewChoice('measure', measureNames, 'effectiveRank')
  const [scope, setScope] = useViewChoice('measure.over', ['mean', 'module'] as const, 'mean')
  const [logY, setLogY] = useViewFlag('measure.logy')
  const module = scope === 'module' ? view.module : null
  const version = useTopicVersion(stores, 'spectra')
  const [error, setError] = useState<string | null>(null)
  const failed = useCallback((reason: unknown) => setError(String(reason)), [])
  const parts = useMemo(() => [view.part], [view.part])
  const names = useMemo(() => [measure], [measure])
  useMeasures(stores, version, { modules: module, parts, measures: names }, failed)
  const build = useCallback(
    () =>
      measureFigure(
        curves.map((curve) => ({
          ...curve,
          spectra: curve.store.spectra,
          everySteps: curve.run.config.spectra.everySteps,
        })),
        { measure, module, part: view.part, logY, step: view.step, empty: error ?? empty },
      ),
    [curves, measure, module, view.part, logY, view.step, empty, error],
  )
  const { title, formula, source, caution } = measures[measure]
  return (
    <ChartCard
      title={`${title} of ΔW`}
      help={
        <>
          {title} = {formula} ({source}). {caution} Click a point to look at the spectrum of its step.
        </>
      }
      chart={{ kind: 'lines', build }}
      stores={stores}
      height={height}
      facts={[module === null ? 'mean of the watched modules' : `module ${module}`]}
      onPick={view.setStep}
      toggles={[{ label: 'Logarithmic y axis', value: logY, set: setLogY }]}
      controls={
        <Group gap="xs">
          <Select
            size="xs"
            w={190}
            aria-label="Rank measure"
            allowDeselect={false}
            value={measure}
            onChange={(value) => value !== null && setMeasure(value)}
            data={measureChoices}
          />
          <Select
            size="xs"
            w={170}
            aria-label="Modules"
            allowDeselect={false}
            value={scope}
            onChange={(value) => value !== null && setScope(value)}
            data={[
              { value: 'mean', label: 'Mean of watched' },
              {
                value: 'module',
                label: view.module === null ? 'Chosen module' : shortModule(view.module),
              },
            ]}
          />
        </Group>
      }
      footer={
        <Text size="xs" c="dimmed">
          {formula}
        </Text>
      }
    />
  )
})
