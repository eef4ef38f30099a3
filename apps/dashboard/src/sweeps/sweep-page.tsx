/** One sweep: how far it is, which setting is best on each line, and how measures depend on the settings. */
import { Badge, Button, Group, Loader, SimpleGrid, Stack, Text, Title } from '@mantine/core'
import { bestSettings, type RunResult, runResult } from '@rankscope/experiments'
import type { RunView, SweepView } from '@rankscope/protocol'
import { useMemo } from 'react'
import { Link, useParams } from 'react-router'
import { useRuns } from '../api/queries.ts'
import { useSweep } from '../api/sweeps.ts'
import { ErrorNotice } from '../common/notice.tsx'
import { AgainstChart } from './against-chart.tsx'
import { BestTable } from './best-table.tsx'
import { HeatMap } from './heat-map.tsx'
import { OverAxisChart } from './over-axis-chart.tsx'
import { RecipePanel } from './recipe-panel.tsx'
import { SweepCommands } from './sweep-commands.tsx'
import { SweepProgress } from './sweep-progress.tsx'
import { SweepRuns } from './sweep-runs.tsx'

export function SweepPage() {
  const { sweepId = '' } = useParams()
  const { data: sweep, error, refetch } = useSweep(sweepId)
  const { data: runs } = useRuns()
  if (error) return <ErrorNotice error={error} retry={() => void refetch()} />
  if (!sweep || !runs) return <Loader m="xl" aria-label="Loading the sweep" />
  return <Sweep sweep={sweep} runs={runs} />
}

function Sweep({ sweep, runs }: { sweep: SweepView; runs: readonly RunView[] }) {
  const members = useMemo(() => {
    const byId = new Map(runs.map((run) => [run.runId, run]))
    return sweep.runs.flatMap(({ runId, point }) => {
      const run = byId.get(runId)
      return run ? [{ run, point }] : []
    })
  }, [sweep, runs])
  const { metric } = sweep.spec
  // Views change with every step; the charts need only what a run came to.
  const told = JSON.stringify(members.map(({ run, point }) => runResult(run, point, metric)))
  const results = useMemo(() => JSON.parse(told) as RunResult[], [told])
  const best = useMemo(() => bestSettings(results, metric).map(({ setting }) => setting), [results, metric])
  const counts: SweepView['counts'] = {}
  for (const { run } of members) counts[run.state] = (counts[run.state] ?? 0) + 1
  const isOver = sweep.state === 'active' && members.every(({ run }) => run.state === 'finished')
  const compared = members.map(({ run }) => run.runId).slice(0, mostCompared)
  return (
    <Stack gap="md">
      <Group justify="space-between" align="flex-start">
        <div>
          <Group gap="sm">
            <Title order={2}>{sweep.spec.name}</Title>
            <Badge variant="light" data-testid="sweep-state">
              {isOver ? 'finished' : sweep.state}
            </Badge>
          </Group>
          <Text size="sm" c="dimmed">
            {sweep.spec.axes.map(({ path, values }) => `${values.length} × ${path}`).join(' · ')}
          </Text>
        </div>
        <Group gap="xs">
          <SweepCommands sweep={sweep} members={members} results={results} />
          <Button component={Link} variant="default" size="xs" to={`/compare?runs=${compared.join(',')}`}>
            {members.length > mostCompared ? `Compare the first ${mostCompared}` : 'Compare runs'}
          </Button>
        </Group>
      </Group>
      <SweepProgress counts={counts} />
      <RecipePanel spec={sweep.spec} />
      <OverAxisChart spec={sweep.spec} results={results} best={best} />
      <BestTable spec={sweep.spec} results={results} />
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
        <AgainstChart name="norm" initialX="frobenius" spec={sweep.spec} results={results} />
        <AgainstChart name="rank" initialX="effectiveRank" spec={sweep.spec} results={results} />
      </SimpleGrid>
      <HeatMap spec={sweep.spec} results={results} />
      <SweepRuns spec={sweep.spec} members={members} />
    </Stack>
  )
}

/** More curves than that say little at once. */
const mostCompared = 64
