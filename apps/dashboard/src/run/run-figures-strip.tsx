/** The run’s key numbers in one strip. */
import { Paper, Progress, Text } from '@mantine/core'
import { isActive, type RunView, rankMeasures } from '@rankscope/protocol'
import { formatCount, formatDuration, formatNumber, formatPercent } from '../common/format.ts'
import { useNow } from '../common/use-now.ts'
import {
  elapsedSeconds,
  progressOf,
  runFigure,
  secondsLeft,
  summaryFigure,
  tokensPerSecond,
} from '../runs/run-figures.ts'
import classes from './run-figures-strip.module.css'

export function RunFigures({ run }: { run: RunView }) {
  const now = useNow(1000, isActive(run.state))
  const left = secondsLeft(run)
  const share = progressOf(run)
  const figures: { label: string; value: string; note?: string }[] = [
    {
      label: 'Step',
      value: run.step.toLocaleString('en-US'),
      note: run.totalSteps === null ? '' : `of ${run.totalSteps.toLocaleString('en-US')}`,
    },
    { label: 'Loss', value: formatNumber(runFigure(run, 'loss')) },
    {
      label: 'Accuracy',
      value: formatPercent(runFigure(run, 'accuracy')),
      note:
        summaryFigure(run, 'baseAccuracy') === null
          ? ''
          : `base ${formatPercent(summaryFigure(run, 'baseAccuracy'))}`,
    },
    { label: rankMeasures.effectiveRank.title, value: formatNumber(summaryFigure(run, 'effectiveRank')) },
    { label: 'Trainable', value: formatCount(run.start?.trainableParameters), note: 'parameters' },
    {
      label: 'Speed',
      value: formatCount(tokensPerSecond(run)),
      note: run.summary ? 'tokens/s, mean' : 'tokens/s',
    },
    {
      label: 'Time',
      value: formatDuration(elapsedSeconds(run, now)),
      note: left === null ? '' : `about ${formatDuration(left)} left`,
    },
  ]
  // A job that trains nothing has no others.
  const shown =
    run.config.job.kind === 'training'
      ? figures
      : figures.filter(({ label }) => ['Accuracy', 'Time'].includes(label))
  return (
    <Paper withBorder className={classes['strip']}>
      <dl className={classes['list']}>
        {shown.map(({ label, value, note }) => (
          <div key={label}>
            <Text component="dt" size="xs" c="dimmed">
              {label}
            </Text>
            <Text component="dd" fw={600} className="numeric" m={0}>
              {value}{' '}
              {note ? (
                <Text span size="xs" c="dimmed" fw={400}>
                  {note}
                </Text>
              ) : null}
            </Text>
          </div>
        ))}
      </dl>
      <Progress
        value={(share ?? 0) * 100}
        size={3}
        radius={0}
        color={run.state === 'failed' ? 'red' : run.state === 'finished' ? 'teal' : 'blue'}
        aria-label="Progress"
      />
    </Paper>
  )
}
