/** The runs of a sweep, in the order of the queue. */
import { Anchor, Paper, Table, Text } from '@mantine/core'
import { metricRules, settingText } from '@rankscope/experiments'
import type { RunView, SweepPoint, SweepSpec } from '@rankscope/protocol'
import { useState } from 'react'
import { Link } from 'react-router'
import { formatNumber, formatPercent } from '../common/format.ts'
import { StateBadge } from '../runs/state-badge.tsx'

/** Rows that are drawn before a reader asks for all. */
const firstRows = 60

type Props = { spec: SweepSpec; members: readonly { run: RunView; point: SweepPoint }[] }

export function SweepRuns({ spec, members }: Props) {
  const [all, setAll] = useState(false)
  const paths = spec.axes.map(({ path }) => path)
  const { test, title } = metricRules[spec.metric]
  const shown = all ? members : members.slice(0, firstRows)
  return (
    <Paper withBorder p="md" component="section" aria-label="Runs of the sweep">
      <Text fw={600} mb="xs">
        Runs
      </Text>
      <Table.ScrollContainer minWidth={560}>
        <Table verticalSpacing={6} highlightOnHover data-testid="sweep-runs">
          <Table.Thead>
            <Table.Tr>
              {paths.map((path) => (
                <Table.Th key={path}>{path.slice(path.lastIndexOf('.') + 1)}</Table.Th>
              ))}
              <Table.Th>State</Table.Th>
              <Table.Th ta="right">Step</Table.Th>
              <Table.Th ta="right">{title}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {shown.map(({ run, point }) => (
              <Table.Tr key={run.runId}>
                {paths.map((path, index) => (
                  <Table.Td key={path}>
                    {index === 0 ? (
                      <Anchor component={Link} to={`/runs/${run.runId}`} size="sm">
                        {path in point ? settingText(point[path]!) : '–'}
                      </Anchor>
                    ) : path in point ? (
                      settingText(point[path]!)
                    ) : (
                      '–'
                    )}
                  </Table.Td>
                ))}
                <Table.Td>
                  <StateBadge run={run} />
                </Table.Td>
                <Table.Td ta="right" className="numeric">
                  {run.step.toLocaleString('en-US')}
                  {run.totalSteps === null ? '' : ` / ${run.totalSteps.toLocaleString('en-US')}`}
                </Table.Td>
                <Table.Td ta="right" className="numeric">
                  {valueText(run.summary?.[test], spec)}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      {members.length > shown.length ? (
        <Anchor component="button" size="sm" mt="xs" onClick={() => setAll(true)}>
          Show all {members.length}
        </Anchor>
      ) : null}
    </Paper>
  )
}

function valueText(value: unknown, spec: SweepSpec): string {
  if (typeof value === 'string') return value
  if (typeof value !== 'number') return '–'
  return metricRules[spec.metric].isShare ? formatPercent(value) : formatNumber(value)
}
