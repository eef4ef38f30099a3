/** The waterfall of one run’s module: heat map or surface, of the values or against another step or run. */
import { Group, SegmentedControl, Select } from '@mantine/core'
import { memo, useCallback, useEffect, useMemo, useState } from 'react'
import { ChartCard } from '../charts/chart-card.tsx'
import { useChartTheme } from '../charts/use-chart-theme.ts'
import type { RunCurve } from '../charts/use-curves.ts'
import type { SpectrumView } from '../charts/use-spectrum-view.ts'
import { formatExact } from '../common/format.ts'
import { useViewChoice, useViewText } from '../common/view-state.ts'
import { useTopicVersion } from '../live/live-context.tsx'
import type { RunStore } from '../live/run-store.ts'
import { fetchValues } from '../live/spectra-loader.ts'
import { spaced, type WaterfallEntry, waterfallFigure } from './waterfall-figure.ts'

type Props = { curves: readonly RunCurve[]; view: SpectrumView; empty: string }

/** Columns of the picture at most. */
const mostSteps = 160

export const WaterfallChart = memo(function WaterfallChart({ curves, view, empty }: Props) {
  const theme = useChartTheme()
  const [shape, setShape] = useViewChoice('waterfall', ['heatmap', 'surface'] as const, 'heatmap')
  const [runId, setRunId] = useViewText('waterfall.run', '')
  const [against, setAgainst] = useViewText('waterfall.against', '')
  const [seen, setSeen] = useState(false)
  const [error, setError] = useState<string | null>(null)
  const curve =
    curves.find((one) => one.runId === runId) ??
    curves.find(({ store }) => store.spectra.modules().length > 0) ??
    curves[0]
  const other = curves.find((one) => one.runId === against && one !== curve)
  const { module, part, step } = view
  const stores = useMemo(() => [curve, other].flatMap((one) => one?.store ?? []), [curve, other])
  const version = useTopicVersion(stores, 'spectra')

  // While no step is the reference, scrubbing leaves the picture as it is.
  const referenceStep = against === 'step' ? step : undefined
  // biome-ignore lint/correctness/useExhaustiveDependencies: `version` stands for the stores’ contents
  const wanted = useMemo(() => {
    if (!curve || module === null) return null
    const all = curve.store.spectra.list(module, part)
    const entries = spaced(all, mostSteps)
    const { spectra } = curve.store
    const reference =
      referenceStep === undefined
        ? null
        : referenceStep === null
          ? spectra.latest(module, part)
          : spectra.at(module, part, referenceStep)
    return { total: all.length, entries, reference }
  }, [curve, module, part, referenceStep, version])
  useFetched(curve?.store, seen ? wanted?.entries : undefined, setError)
  // biome-ignore lint/correctness/useExhaustiveDependencies: `version` stands for the stores’ contents
  const others = useMemo(
    () =>
      other && module !== null && wanted
        ? wanted.entries.flatMap((entry) => other.store.spectra.at(module, part, entry.step) ?? [])
        : undefined,
    [other, module, part, wanted, version],
  )
  useFetched(other?.store, seen ? others : undefined, setError)

  const build = useCallback(() => {
    const entries = wanted?.entries ?? []
    const here = entries.filter((entry): entry is WaterfallEntry => entry.singularValues !== null)
    const reference = () => {
      if (against === 'step' && wanted?.reference) {
        const { singularValues, step: at } = wanted.reference
        return { label: `step ${formatExact(at)}`, at: () => singularValues }
      }
      if (!other || module === null) return null
      return {
        label: other.label,
        // Of exactly this step: another one would compare what never stood side by side.
        at: (at: number) => {
          const entry = other.store.spectra.at(module, part, at)
          return entry?.step === at ? entry.singularValues : null
        },
      }
    }
    return waterfallFigure(here, {
      reference: reference(),
      shape,
      totalSteps: wanted?.total ?? 0,
      missing: entries.length - here.length,
      theme,
      empty: error ?? (entries.length > 0 ? 'Fetching the spectra …' : empty),
    })
  }, [wanted, against, other, module, part, shape, theme, empty, error])
  const see = useCallback(() => setSeen(true), [])
  return (
    <ChartCard
      title="Spectra over the steps"
      help="Colour: logarithm of σᵢ of ΔW of the chosen module, index down, steps across. Against a step or a run: the ratio to its σᵢ, red above 1, blue below. A click looks at the spectrum of that step."
      chart={{ kind: 'plotly', build }}
      stores={stores}
      height={330}
      onPick={view.setStep}
      onSeen={see}
      controls={
        <Group gap="xs">
          <SegmentedControl
            size="xs"
            aria-label="Shape"
            value={shape}
            onChange={setShape}
            data={[
              { value: 'heatmap', label: 'Heat map' },
              { value: 'surface', label: 'Surface' },
            ]}
          />
          {curves.length > 1 ? (
            <Select
              size="xs"
              w={190}
              aria-label="Run of the waterfall"
              allowDeselect={false}
              value={curve?.runId ?? null}
              onChange={(value) => value !== null && setRunId(value)}
              data={curves.map(({ runId: value, label }) => ({ value, label }))}
            />
          ) : null}
          <Select
            size="xs"
            w={210}
            aria-label="Against"
            placeholder="Against …"
            clearable
            value={against === '' ? null : against}
            onChange={(value) => setAgainst(value ?? '')}
            data={[
              {
                value: 'step',
                label: step === null ? 'against the newest step' : `against step ${formatExact(step)}`,
              },
              ...curves
                .filter((one) => one !== curve)
                .map(({ runId: value, label }) => ({ value, label: `against ${label}` })),
            ]}
          />
        </Group>
      }
    />
  )
})

/** Values that are not here yet, once there is something to fetch. */
function useFetched(
  store: RunStore | undefined,
  entries:
    | readonly {
        module: string
        part: WaterfallEntry['part']
        step: number
        final: boolean
        singularValues: Float64Array | null
      }[]
    | undefined,
  failed: (message: string | null) => void,
): void {
  const [asked] = useState(() => new Set<string>())
  useEffect(() => {
    if (!store || !entries) return
    const nameOf = (entry: (typeof entries)[number]) =>
      `${store.runId} ${entry.module} ${entry.part} ${entry.step} ${entry.final}`
    const missing = entries.filter((entry) => entry.singularValues === null && !asked.has(nameOf(entry)))
    if (missing.length === 0) return
    for (const entry of missing) asked.add(nameOf(entry))
    fetchValues(store, missing).then(
      () => failed(null),
      (reason: unknown) => {
        for (const entry of missing) asked.delete(nameOf(entry))
        failed(reason instanceof Error ? reason.message : String(reason))
      },
    )
  }, [store, entries, failed, asked])
}
