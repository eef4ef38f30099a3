/** All sweeps, newest first. */
import { Anchor, Badge, Button, FileButton, Group, Skeleton, Stack, Table, Text, Title } from '@mantine/core'
import { axisText } from '@rankscope/experiments'
import type { SweepOverview } from '@rankscope/protocol'
import { Link, useNavigate } from 'react-router'
import { useImportSweep, useSweeps } from '../api/sweeps.ts'
import { formatAge } from '../common/format.ts'
import { ErrorNotice, Notice } from '../common/notice.tsx'
import { useNow } from '../common/use-now.ts'
import { SweepProgress } from './sweep-progress.tsx'

export function SweepsPage() {
  const { data, error, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useSweeps()
  const now = useNow(5000)
  const imported = useImportSweep()
  const navigate = useNavigate()
  const bring = (file: File) =>
    imported.mutateAsync(file).then(
      ({ sweepId }) => navigate(`/sweeps/${sweepId}`),
      () => {}, // told above the list
    )
  const sweeps = data?.pages.flatMap((page) => page.sweeps)
  return (
    <Stack gap="md">
      <Group justify="space-between">
        <Title order={2}>Sweeps</Title>
        <Group gap="xs">
          <FileButton accept=".zip,application/zip" onChange={(file) => file && void bring(file)}>
            {(props) => (
              <Button {...props} variant="default" loading={imported.isPending}>
                Import a zip
              </Button>
            )}
          </FileButton>
          <Button component={Link} to="/launch">
            Launch
          </Button>
        </Group>
      </Group>
      {imported.error ? <ErrorNotice error={imported.error} /> : null}
      {error ? <ErrorNotice error={error} retry={() => void refetch()} /> : null}
      {!sweeps && !error ? <Skeleton height={180} aria-label="Loading sweeps" /> : null}
      {sweeps?.length === 0 ? (
        <Notice
          title="No sweeps yet"
          text="A sweep is one run for each combination of settings: learning rates, ranks, methods, seeds. Vary a setting on the Launch page to make one."
        >
          <Button
            component={Link}
            to='/launch?vary=[{"path":"optimizer.learningRate","text":"1e-3…1e-2 log 3"}]'
          >
            Compare methods at their own learning rates
          </Button>
        </Notice>
      ) : null}
      {sweeps && sweeps.length > 0 ? (
        <Table.ScrollContainer minWidth={640}>
          <Table verticalSpacing="sm" highlightOnHover data-testid="sweeps">
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Sweep</Table.Th>
                <Table.Th>Axes</Table.Th>
                <Table.Th>Runs</Table.Th>
                <Table.Th>Made</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {sweeps.map((sweep) => (
                <Row key={sweep.sweepId} sweep={sweep} now={now} />
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      ) : null}
      {hasNextPage ? (
        <Button variant="default" loading={isFetchingNextPage} onClick={() => void fetchNextPage()}>
          Older sweeps
        </Button>
      ) : null}
    </Stack>
  )
}

function Row({ sweep, now }: { sweep: SweepOverview; now: number }) {
  return (
    <Table.Tr>
      <Table.Td>
        <Group gap="xs">
          <Anchor component={Link} to={`/sweeps/${sweep.sweepId}`}>
            {sweep.spec.name}
          </Anchor>
          {sweep.state === 'active' ? null : <Badge variant="light">{sweep.state}</Badge>}
        </Group>
      </Table.Td>
      <Table.Td>
        {sweep.spec.axes.map(({ path, values }) => (
          <Text key={path} size="sm" lineClamp={1}>
            <Text span c="dimmed">
              {path}
            </Text>{' '}
            {axisText(values)}
          </Text>
        ))}
      </Table.Td>
      <Table.Td miw={180}>
        <SweepProgress counts={sweep.counts} />
      </Table.Td>
      <Table.Td>
        <Text size="sm">{formatAge(sweep.createdMs, now)}</Text>
      </Table.Td>
    </Table.Tr>
  )
}
