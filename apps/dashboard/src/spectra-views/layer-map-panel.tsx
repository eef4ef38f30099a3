/** The layer map of one run, of several side by side, or as differences to one of them; a click opens the spectrum. */
import { Group, Paper, SegmentedControl, Select, Text } from '@mantine/core'
import { isSettled } from '@rankscope/protocol'
import { useCallback, useMemo, useState } from 'react'
import { measureChoices, measureNames, measures } from '../charts/measures.ts'
import { StepSlider } from '../charts/step-slider.tsx'
import type { RunCurve } from '../charts/use-curves.ts'
import { useMeasures } from '../charts/use-spectrum-view.ts'
import { formatExact, formatNumber } from '../common/format.ts'
import { Notice } from '../common/notice.tsx'
import { useViewChoice, useViewText } from '../common/view-state.ts'
import { useTopicVersion } from '../live/live-context.tsx'
import { RunSwatch } from '../runs/run-swatch.tsx'
import classes from './layer-map.module.css'
import { type ColourScale, colourScale, difference, type MapCell, mapCells, scaleNames } from './layer-map.ts'

type Props = { curves: readonly RunCurve[]; openModule: (module: string) => void }

export function LayerMapPanel({ curves, openModule }: Props) {
  const stores = useMemo(() => curves.map(({ store }) => store), [curves])
  const version = useTopicVersion(stores, 'spectra')
  const [measure, setMeasure] = useViewChoice('measure', measureNames, 'effectiveRank')
  const [scaleName, setScaleName] = useViewChoice('map.scale', scaleNames, 'quantile')
  const [baseline, setBaseline] = useViewText('map.baseline', '')
  const [stepText, setStepText] = useViewText('step', '')
  const [error, setError] = useState<string | null>(null)
  const failed = useCallback((reason: unknown) => setError(String(reason)), [])
  const names = useMemo(() => [measure], [measure])
  useMeasures(stores, version, { modules: null, parts: totalOnly, measures: names }, failed)

  const step = stepText === '' || !Number.isFinite(Number(stepText)) ? null : Number(stepText)
  // biome-ignore lint/correctness/useExhaustiveDependencies: `version` stands for the stores’ contents
  const steps = useMemo(
    () => [...new Set(stores.flatMap((store) => store.spectra.steps(null, 'total')))].sort((a, b) => a - b),
    [stores, version],
  )
  // biome-ignore lint/correctness/useExhaustiveDependencies: `version` stands for the stores’ contents
  const maps = useMemo(() => {
    const wanted = { measure, part: 'total', step } as const
    const own = curves.map((curve) => ({ curve, cells: mapCells(curve.store.spectra, wanted) }))
    const base = own.find(({ curve }) => curve.runId === baseline)
    if (!base) return own
    return own
      .filter((one) => one !== base)
      .map(({ curve, cells }) => ({ curve, cells: difference(cells, base.cells) }))
  }, [curves, version, measure, step, baseline])
  const isDifference = maps.length < curves.length && maps.length > 0
  const shown = maps.filter(({ cells }) => cells.length > 0)
  const scale = useMemo(
    () =>
      colourScale(
        shown.flatMap(({ cells }) => cells.flatMap(({ value }) => value ?? [])),
        scaleName,
        isDifference,
      ),
    [shown, scaleName, isDifference],
  )
  if (steps.length === 0) {
    return (
      <Notice
        title="No spectrum yet"
        text={
          curves.every(({ run }) => isSettled(run.state))
            ? 'None was recorded; spectra.everySteps and spectra.atEnd of the configuration ask for them.'
            : 'Watched modules appear during training, all of them at the end.'
        }
      />
    )
  }
  const { formula, source, caution } = measures[measure]
  return (
    <section aria-label="Layer map">
      <Group gap="sm" mb="xs">
        <Select
          size="xs"
          w={200}
          aria-label="Rank measure"
          allowDeselect={false}
          value={measure}
          onChange={(value) => value !== null && setMeasure(value)}
          data={measureChoices}
        />
        <SegmentedControl
          size="xs"
          aria-label="Scale of the colours"
          value={scaleName}
          onChange={setScaleName}
          disabled={isDifference}
          data={[
            { value: 'quantile', label: 'Quantiles' },
            { value: 'log', label: 'Log' },
            { value: 'linear', label: 'Linear' },
          ]}
        />
        {curves.length > 1 ? (
          <Select
            size="xs"
            w={230}
            aria-label="Difference to"
            placeholder="Difference to …"
            clearable
            value={baseline === '' ? null : baseline}
            onChange={(value) => setBaseline(value ?? '')}
            data={curves.map((curve) => ({ value: curve.runId, label: `difference to ${curve.label}` }))}
          />
        ) : null}
        <Legend scale={scale} isDifference={isDifference} />
      </Group>
      <Text size="xs" c="dimmed" mb="xs">
        {formula} ({source}). {caution} Choose a module to see its spectrum.
      </Text>
      {error ? (
        <Text size="xs" c="red" role="alert">
          {error}
        </Text>
      ) : null}
      <StepSlider
        steps={steps}
        step={step}
        setStep={(next) => setStepText(next === null ? '' : String(next))}
        growing={curves.some(({ run }) => !isSettled(run.state))}
      />
      <div className={classes['maps']}>
        {shown.map(({ curve, cells }) => (
          <Paper key={curve.runId} withBorder className={classes['scroll']}>
            {curves.length > 1 ? (
              <Text size="sm" fw={600} mb={4}>
                <RunSwatch runId={curve.runId} /> {curve.label}
                {isDifference ? ` − ${curves.find(({ runId }) => runId === baseline)?.label ?? ''}` : ''}
              </Text>
            ) : null}
            <LayerMap
              cells={cells}
              scale={scale}
              isDifference={isDifference}
              wanted={step}
              open={openModule}
            />
          </Paper>
        ))}
      </div>
    </section>
  )
}

const totalOnly = ['total'] as const

function Legend({ scale, isDifference }: { scale: ColourScale; isDifference: boolean }) {
  return (
    <div className={classes['legend']} data-testid="map-legend">
      <span className={classes['bar']} data-difference={isDifference} aria-hidden />
      <span className={classes['ticks']}>
        {scale.ticks.map((tick) => (
          <span key={tick}>{formatNumber(tick)}</span>
        ))}
      </span>
      <Text size="xs" c="dimmed">
        {scale.said}
      </Text>
    </div>
  )
}

function LayerMap(props: {
  cells: readonly MapCell[]
  scale: ColourScale
  isDifference: boolean
  wanted: number | null
  open: (module: string) => void
}) {
  const { cells, scale, isDifference, wanted, open } = props
  const layers = [...new Set(cells.map(({ layer }) => layer))]
  const projections = [...new Set(cells.map(({ projection }) => projection))]
  const byPlace = new Map(cells.map((cell) => [`${cell.layer} ${cell.projection}`, cell]))
  const newest = wanted ?? Math.max(...cells.flatMap(({ step }) => step ?? []))
  const earlier = cells.filter(({ step }) => step !== null && step < newest).length
  return (
    <>
      <table className={classes['map']}>
        <thead>
          <tr>
            <th scope="col">Layer</th>
            {projections.map((projection) => (
              <th key={projection} scope="col">
                {projection}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {layers.map((layer) => (
            <tr key={layer}>
              <th scope="row">{layer}</th>
              {projections.map((projection) => {
                const cell = byPlace.get(`${layer} ${projection}`)
                return (
                  <td key={projection}>
                    {cell ? (
                      <button
                        type="button"
                        className={classes['cell']}
                        data-earlier={cell.step !== null && cell.step < newest}
                        onClick={() => open(cell.module)}
                        title={`${cell.module}, ${cell.step === null ? 'no spectrum yet' : `step ${formatExact(cell.step)}`}: ${formatNumber(cell.value, 4)}`}
                        style={{ background: background(cell.value, scale, isDifference) }}
                      >
                        {formatNumber(cell.value)}
                      </button>
                    ) : null}
                  </td>
                )
              })}
            </tr>
          ))}
        </tbody>
      </table>
      {earlier > 0 ? (
        <Text size="xs" c="dimmed" mt={4}>
          {earlier === 1 ? '1 module shows' : `${earlier} modules show`} an earlier step than{' '}
          {formatExact(newest)} (dashed): {earlier === 1 ? 'its' : 'their'} newest.
        </Text>
      ) : null}
    </>
  )
}

function background(value: number | null, scale: ColourScale, isDifference: boolean): string {
  const strength = value === null ? null : scale.strength(value)
  if (strength === null) return 'transparent'
  const colour = isDifference && strength < 0 ? 'orange' : 'indigo'
  const percent = Math.round(6 + 58 * Math.abs(strength))
  return `color-mix(in srgb, var(--mantine-color-${colour}-5) ${percent}%, transparent)`
}
