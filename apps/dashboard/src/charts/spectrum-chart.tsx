/** Singular values of ΔW of one module at one step, for one run or overlaid for many. */
import { Group, SegmentedControl, Select, Text } from '@mantine/core'
import { isSettled, type SpectrumPart } from '@rankscope/protocol'
import { memo, useCallback } from 'react'
import { formatExact, shortModule } from '../common/format.ts'
import { useViewFlag } from '../common/view-state.ts'
import type { RunStore } from '../live/run-store.ts'
import type { SpectrumEntry } from '../live/spectra.ts'
import { ChartCard } from './chart-card.tsx'
import { partDashes, partLabels } from './parts.ts'
import { joinedMarks } from './rank-marks.ts'
import { type SpectrumCurve, spectrumFigure } from './spectrum-figure.ts'
import { spectrumNotes } from './spectrum-notes.ts'
import { StepSlider } from './step-slider.tsx'
import type { RunCurve } from './use-curves.ts'
import type { SpectrumView } from './use-spectrum-view.ts'

type Props = {
  curves: readonly RunCurve[]
  stores: readonly RunStore[]
  view: SpectrumView
  empty: string
  height?: number
}

export const SpectrumChart = memo(function SpectrumChart(props: Props) {
  const { curves, stores, view, empty, height = 300 } = props
  const [logY, setLogY] = useViewFlag('spectrum.logy', true)
  const [logX, setLogX] = useViewFlag('spectrum.logx', true)
  const [normalised, setNormalised] = useViewFlag('spectrum.normalised')
  const [showFloor, setShowFloor] = useViewFlag('spectrum.floor', true)
  const { module, part, allParts, step } = view

  const build = useCallback(() => {
    const parts = allParts ? view.parts : [part]
    const shown =
      module === null
        ? []
        : parts.flatMap((each) =>
            curves.flatMap((curve) => curveAt(allParts ? ofPart(curve, each) : curve, module, each, step)),
          )
    const dimension = Math.max(0, ...shown.map(({ entry }) => Math.min(entry.rows, entry.columns)))
    const largest = module === null ? null : largestOver(curves, module, parts[0]!)
    const uniform = new Set(shown.map(({ entry }) => entry.step)).size <= 1
    const named = uniform
      ? shown
      : shown.map((one) => ({ ...one, label: `${one.label} · step ${formatExact(one.entry.step)}` }))
    return spectrumFigure(named, {
      logX,
      logY,
      normalised,
      showFloor,
      largest,
      marks: joinedMarks(
        shown.map(({ run }) => ({ method: run.config.method, devices: run.config.parallel.devices })),
        dimension,
      ),
      notes: module === null ? [] : spectrumNotes(curves, shown, { module, part, step }),
      empty: module !== null && isKnown(curves, module, parts) ? 'Fetching the spectrum …' : empty,
    })
  }, [curves, module, part, allParts, view.parts, step, logX, logY, normalised, showFloor, empty])
  const shapes = new Set(
    curves.flatMap(({ store }) => {
      const entry = module === null ? null : store.spectra.latest(module, part)
      return entry ? `${formatExact(entry.rows)} × ${formatExact(entry.columns)}` : []
    }),
  )
  return (
    <ChartCard
      title="Spectrum of ΔW"
      help={
        <>
          Singular values of ΔW = W at this step − W at the start, computed in float64. Lines: r, 2r, Kr and
          2Kr of the shown methods; solid and bold where the method’s ΔW cannot exceed that rank. The dotted
          horizontal line is the noise floor s √T (√m + √n): the largest singular value that T float32
          roundings of W alone would have, s measured on the weights; below it a spectrum of W itself is
          noise. With attribution, “all” overlays the parts that ΔW is made of.
        </>
      }
      chart={{ kind: 'lines', build }}
      stores={stores}
      height={height}
      facts={[
        ...(module === null ? [] : [`module ${module}`]),
        ...(allParts ? ['all parts'] : part === 'total' ? [] : [partLabels[part]]),
        ...(step === null ? ['the newest step of each run'] : [`step ${formatExact(step)}`]),
      ]}
      toggles={[
        { label: 'Logarithmic y axis', value: logY, set: setLogY },
        { label: 'Logarithmic x axis', value: logX, set: setLogX },
        { label: 'Divide by σ₁', value: normalised, set: setNormalised },
        { label: 'Rounding floor', value: showFloor, set: setShowFloor },
      ]}
      controls={
        <Group gap="xs">
          <ModuleSelect view={view} />
          <Text size="xs" c="dimmed">
            {[...shapes].join(', ')}
          </Text>
          {view.parts.length > 1 ? (
            <SegmentedControl
              size="xs"
              aria-label="Part of the update"
              value={allParts ? 'all' : part}
              onChange={(value) => {
                view.setAllParts(value === 'all')
                if (value !== 'all') view.setPart(value as SpectrumPart)
              }}
              data={[
                ...view.parts.map((value) => ({ value, label: partLabels[value] })),
                { value: 'all', label: 'all' },
              ]}
            />
          ) : null}
          {allParts ? <PartsLegend parts={view.parts} /> : null}
          {view.error ? (
            <Text size="xs" c="red" role="alert">
              {view.error.message}
            </Text>
          ) : null}
        </Group>
      }
      footer={
        <StepSlider
          steps={view.steps}
          step={step}
          setStep={view.setStep}
          growing={curves.some((curve) => !isSettled(curve.run.state))}
        />
      }
    />
  )
})

/** Which dash is which part: their curves have the colour of the run. */
function PartsLegend({ parts }: { parts: readonly SpectrumPart[] }) {
  const patterns = { solid: '', dash: '7 4', dot: '2 3', dashdot: '7 3 2 3' }
  return (
    <Group component="ul" gap="sm" p={0} m={0} data-testid="parts-legend">
      {parts.map((part) => (
        <Group key={part} component="li" gap={4} style={{ listStyle: 'none' }}>
          <svg width={28} height={8} aria-hidden>
            <line
              x1={0}
              x2={28}
              y1={4}
              y2={4}
              stroke="currentColor"
              strokeWidth={1.8}
              strokeDasharray={patterns[partDashes[part]]}
            />
          </svg>
          <Text size="xs">{partLabels[part]}</Text>
        </Group>
      ))}
    </Group>
  )
}

function ModuleSelect({ view }: { view: SpectrumView }) {
  const option = (module: string) => ({ value: module, label: shortModule(module) })
  const watched = view.modules.filter((module) => view.liveModules.has(module))
  const others = view.modules.filter((module) => !view.liveModules.has(module))
  return (
    <Select
      size="xs"
      w={180}
      searchable
      allowDeselect={false}
      aria-label="Module"
      placeholder="No spectrum yet"
      disabled={view.modules.length === 0}
      value={view.module}
      onChange={(module) => module !== null && view.setModule(module)}
      data={[
        { group: 'Watched during training', items: watched.map(option) },
        { group: 'At the end only', items: others.map(option) },
      ].filter((group) => group.items.length > 0)}
    />
  )
}

/** The curve as one of several parts: the run’s colour, the part’s dash. */
function ofPart(curve: RunCurve, part: SpectrumPart): RunCurve {
  return { ...curve, label: `${curve.label} · ${partLabels[part]}`, dash: partDashes[part] }
}

/** Whether there is a spectrum of which the values may still be on their way. */
function isKnown(curves: readonly RunCurve[], module: string, parts: readonly SpectrumPart[]): boolean {
  return curves.some(({ store }) => parts.some((part) => store.spectra.list(module, part).length > 0))
}

/** The run’s spectrum at the step, once its values are here; the nearest earlier one that is, meanwhile. */
function curveAt(
  curve: RunCurve,
  module: string,
  part: SpectrumPart,
  step: number | null,
): (SpectrumCurve & Pick<RunCurve, 'run'>)[] {
  const list = curve.store.spectra.list(module, part)
  const wanted = step === null ? list.at(-1) : curve.store.spectra.at(module, part, step)
  const entry = wanted?.singularValues
    ? wanted
    : list.findLast((other) => other.singularValues !== null && other.step <= (wanted?.step ?? 0))
  if (!entry?.singularValues) return []
  // The floor is that of the total; one line suffices where parts are overlaid.
  const floor = part === 'total' ? curve.store.spectra.measureOf(entry, 'noiseFloor') : null
  return [{ ...curve, entry: entry as SpectrumEntry & { singularValues: Float64Array }, floor }]
}

/** σ₁ of the largest spectrum over all steps: ‖ΔW‖_F / √(stable rank). */
function largestOver(curves: readonly RunCurve[], module: string, part: SpectrumPart): number | null {
  let largest = 0
  for (const { store } of curves) {
    const stableRanks = store.spectra.column(module, part, 'stableRank')
    for (const [step, frobenius] of store.spectra.column(module, part, 'frobenius')) {
      const stableRank = stableRanks.get(step) ?? 0
      const first = stableRank > 0 ? frobenius / Math.sqrt(stableRank) : 0
      if (first > largest) largest = first
    }
  }
  return largest > 0 ? largest : null
}
