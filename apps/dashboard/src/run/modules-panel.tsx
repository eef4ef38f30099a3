/** A rank measure of every module as a map, layers down and projections across: where in the model the update lives. */
import { Group, Paper, Select, Text, Tooltip } from '@mantine/core'
import { isSettled, type RunView } from '@rankscope/protocol'
import { useMemo } from 'react'
import { measureOf } from '../charts/measure-figure.ts'
import { measureChoices, measureNames, measures } from '../charts/measures.ts'
import { formatNumber } from '../common/format.ts'
import { Notice } from '../common/notice.tsx'
import { useViewChoice, useViewText } from '../common/view-state.ts'
import { useTopicVersion } from '../live/live-context.tsx'
import type { RunStore } from '../live/run-store.ts'
import type { SpectrumEntry } from '../live/spectra.ts'
import classes from './modules-panel.module.css'

export function ModulesPanel({ store, run }: { store: RunStore; run: RunView }) {
  const stores = useMemo(() => [store], [store])
  useTopicVersion(stores, 'spectra')
  const [measure, setMeasure] = useViewChoice('measure', measureNames, 'effectiveRank')
  const [, setModule] = useViewText('module', '')
  const [, setTab] = useViewText('tab', 'charts')
  const entries = store.spectra.modules().flatMap((module) => store.spectra.latest(module, 'total') ?? [])
  if (entries.length === 0) {
    return (
      <Notice
        title="No spectrum yet"
        text={
          isSettled(run.state)
            ? 'The run recorded none; spectra.everySteps and spectra.atEnd of its configuration ask for them.'
            : 'Watched modules appear during training, all of them at the end.'
        }
      />
    )
  }
  const values = entries.flatMap((entry) => measureOf(entry, measure) ?? []).filter(Number.isFinite)
  const largest = Math.max(...values)
  const layers = [...new Set(entries.map((entry) => placeOf(entry).layer))]
  const projections = [...new Set(entries.map((entry) => placeOf(entry).projection))]
  const open = (entry: SpectrumEntry) => {
    setModule(entry.module)
    setTab('charts')
  }
  return (
    <>
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
        <Text size="xs" c="dimmed">
          {measures[measure].formula} ({measures[measure].source}). {measures[measure].help} Choose a module
          to see its spectrum.
        </Text>
      </Group>
      <Paper withBorder className={classes['scroll']}>
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
                  const entry = entries.find((candidate) => {
                    const place = placeOf(candidate)
                    return place.layer === layer && place.projection === projection
                  })
                  return (
                    <td key={projection}>
                      {entry ? (
                        <Cell
                          entry={entry}
                          value={measureOf(entry, measure)}
                          largest={largest}
                          open={() => open(entry)}
                        />
                      ) : null}
                    </td>
                  )
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </Paper>
    </>
  )
}

function Cell(props: { entry: SpectrumEntry; value: number | null; largest: number; open: () => void }) {
  const { entry, value, largest, open } = props
  const share = value === null || largest <= 0 ? 0 : value / largest
  const strength = Number.isFinite(share) ? Math.round(8 + 62 * Math.max(0, share)) : 0
  return (
    <Tooltip
      label={`${entry.module}, ${entry.rows} × ${entry.columns}, step ${entry.step}: ${formatNumber(value, 4)}`}
    >
      <button
        type="button"
        className={classes['cell']}
        onClick={open}
        style={{
          background: `color-mix(in srgb, var(--mantine-color-indigo-5) ${strength}%, transparent)`,
        }}
      >
        {formatNumber(value)}
      </button>
    </Tooltip>
  )
}

/** Layer and projection of a module; modules outside the layers stand in a row of their own. */
function placeOf(entry: SpectrumEntry): { layer: string; projection: string } {
  const match = /layers\.(\d+)\..*?([^.]+)$/.exec(entry.module)
  return match ? { layer: match[1]!, projection: match[2]! } : { layer: 'other', projection: entry.module }
}
