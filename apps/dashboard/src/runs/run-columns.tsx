/** Columns of the runs list. */
import { Anchor, Badge, Checkbox, Group, Text } from '@mantine/core'
import { isActive, methodLabel, type RunView } from '@rankscope/protocol'
import { createColumnHelper } from '@tanstack/react-table'
import { Link } from 'react-router'
import { formatAge, formatCount, formatDuration, formatNumber, formatPercent } from '../common/format.ts'
import { RunCommandMenu } from './run-commands.tsx'
import { elapsedSeconds, progressOf, runFigure, summaryFigure, tokensPerSecond } from './run-figures.ts'
import { RunProgress } from './run-progress.tsx'
import { RunSwatch } from './run-swatch.tsx'
import { StateBadge } from './state-badge.tsx'

const column = createColumnHelper<RunView>()

/** Width in pixels is `size`; the first column takes what is left. `nowMs` is when ages are told for. */
export function runColumns(nowMs: number) {
  return [
    column.accessor('name', {
      header: 'Run',
      size: 270,
      cell: ({ row }) => {
        const run = row.original
        return (
          <Group gap={8} wrap="nowrap">
            <Checkbox
              size="xs"
              checked={row.getIsSelected()}
              onChange={row.getToggleSelectedHandler()}
              aria-label={`Select ${run.name}`}
            />
            <RunSwatch runId={run.runId} />
            <Anchor component={Link} to={`/runs/${run.runId}`} size="sm" fw={500} truncate title={run.name}>
              {run.name}
            </Anchor>
            {run.config.tags
              .filter((tag) => tag !== 'comparison')
              .slice(0, 2)
              .map((tag) => (
                <Badge key={tag} size="xs" variant="default" tt="none">
                  {tag}
                </Badge>
              ))}
          </Group>
        )
      },
    }),
    column.accessor('state', {
      header: 'State',
      size: 92,
      cell: ({ row }) => <StateBadge run={row.original} />,
    }),
    column.accessor((run) => progressOf(run) ?? -1, {
      id: 'progress',
      header: 'Progress',
      size: 136,
      cell: ({ row }) => <RunProgress run={row.original} />,
    }),
    column.accessor((run) => methodLabel(run.config), {
      id: 'method',
      header: 'Method',
      size: 216,
      cell: ({ row, getValue }) => (
        <Text size="sm" truncate title={getValue()}>
          {getValue()}
          {'rank' in row.original.config.method ? (
            <Text span size="xs" c="dimmed">
              {' '}
              r = {row.original.config.method.rank}
            </Text>
          ) : null}
        </Text>
      ),
    }),
    numeric('loss', 'Loss', 76, (run) => runFigure(run, 'loss'), formatNumber),
    numeric('accuracy', 'Accuracy', 86, (run) => runFigure(run, 'accuracy'), formatPercent),
    numeric('effectiveRank', 'Eff. rank', 84, (run) => summaryFigure(run, 'effectiveRank'), formatNumber),
    numeric('speed', 'Tokens/s', 84, tokensPerSecond, formatCount),
    numeric('time', 'Time', 104, (run) => elapsedSeconds(run, nowMs), formatDuration),
    column.accessor('createdMs', {
      id: 'created',
      header: 'Created',
      size: 96,
      cell: ({ getValue }) => (
        <Text size="sm" c="dimmed" title={new Date(getValue()).toLocaleString()}>
          {formatAge(getValue(), nowMs)}
        </Text>
      ),
    }),
    column.display({
      id: 'commands',
      header: '',
      size: 40,
      cell: ({ row }) => <RunCommandMenu run={row.original} />,
    }),
  ]
}

/** Whether a run’s age or duration changes while one looks. */
export function countsSeconds(runs: readonly RunView[]): boolean {
  return runs.some((run) => isActive(run.state))
}

function numeric(
  id: string,
  header: string,
  size: number,
  value: (run: RunView) => number | null,
  format: (value: number | null) => string,
) {
  return column.accessor((run) => value(run) ?? undefined, {
    id,
    header,
    size,
    // Runs without the number come last whichever way one sorts.
    sortUndefined: 'last',
    meta: { numeric: true },
    cell: ({ getValue }) => (
      <Text size="sm" ta="right" className="numeric">
        {format(getValue() ?? null)}
      </Text>
    ),
  })
}
