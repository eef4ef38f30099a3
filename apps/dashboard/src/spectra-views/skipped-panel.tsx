/** Spectra and analyses that were due and are not there, by module and reason. */
import { Paper, Table, Text } from '@mantine/core'
import { type RunView, scalarNames } from '@rankscope/protocol'
import { formatExact, shortModule } from '../common/format.ts'
import { compareModules } from '../live/spectra.ts'

const reasons = [
  { scalar: scalarNames.spectraOvertaken, title: 'Overtaken', isSpectrum: true },
  { scalar: scalarNames.spectraFailed, title: 'Not decomposed', isSpectrum: true },
  { scalar: scalarNames.spectraUnfinished, title: 'Not ready at the end', isSpectrum: true },
  { scalar: scalarNames.analysesPutOff, title: 'No analysis', isSpectrum: false },
] as const

type Row = { key: string; name: string; counts: (number | null)[] }

export function SkippedPanel({ runs }: { runs: readonly RunView[] }) {
  const rows = runs.flatMap((run) => rowsOf(run, runs.length > 1))
  if (rows.length === 0) return null
  const columns = reasons
    .map((reason, place) => ({
      ...reason,
      place,
      total: rows.reduce((sum, { counts }) => sum + (counts[place] ?? 0), 0),
    }))
    .filter(({ total }) => total > 0)
  const missing = columns.filter(({ isSpectrum }) => isSpectrum).reduce((sum, { total }) => sum + total, 0)
  return (
    <Paper withBorder p="sm" component="section" aria-label="Skipped spectra" data-testid="skipped-spectra">
      <Text fw={600} size="sm">
        Skipped spectra: {formatExact(missing)}
      </Text>
      <Text size="xs" c="dimmed" mb={4}>
        Live snapshots that were due and have no spectrum; and spectra without their analysis against W, which
        has 2 % of the time. A run with “Wait for spectra” has all of them.
      </Text>
      <Table.ScrollContainer minWidth={300} mah={260} type="native">
        <Table verticalSpacing={4} horizontalSpacing="xs" fz="xs">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Module</Table.Th>
              {columns.map(({ title }) => (
                <Table.Th key={title} ta="right">
                  {title}
                </Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.map(({ key, name, counts }) => (
              <Table.Tr key={key}>
                <Table.Td>{name}</Table.Td>
                {columns.map(({ title, place }) => (
                  <Table.Td key={title} ta="right" className="numeric">
                    {formatExact(counts[place] ?? 0)}
                  </Table.Td>
                ))}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </Paper>
  )
}

function rowsOf({ runId, name: label, latest }: RunView, named: boolean): Row[] {
  const modules = Object.keys(latest).flatMap((name) =>
    reasons.flatMap(({ scalar }) => (name.startsWith(`${scalar}/`) ? [name.slice(scalar.length + 1)] : [])),
  )
  return [...new Set(modules)].sort(compareModules).map((module) => ({
    key: `${runId} ${module}`,
    name: named ? `${label}, ${shortModule(module)}` : shortModule(module),
    counts: reasons.map(({ scalar }) => {
      const count = latest[`${scalar}/${module}`]
      return typeof count === 'number' ? count : null
    }),
  }))
}
