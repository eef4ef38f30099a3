/** Every item of an evaluation by benchmarks: its scores, then each completion with its verdict, the wrong ones alone where wanted. */
import {
  Badge,
  Code,
  Group,
  Pagination,
  Paper,
  SegmentedControl,
  Select,
  SimpleGrid,
  Stack,
  Table,
  Text,
} from '@mantine/core'
import { isSettled, type RunView } from '@rankscope/protocol'
import { useMemo, useState } from 'react'
import { formatExact, formatPercent } from '../common/format.ts'
import { Notice } from '../common/notice.tsx'
import { useViewChoice, useViewText } from '../common/view-state.ts'
import { useTopicVersion } from '../live/live-context.tsx'
import type { RunStore, Sample } from '../live/run-store.ts'
import classes from './samples-panel.module.css'

const perPage = 20
const verdicts = ['all', 'wrong', 'right'] as const

export function ItemsPanel({ store, run }: { store: RunStore; run: RunView }) {
  const stores = useMemo(() => [store], [store])
  useTopicVersion(stores, 'samples')
  useTopicVersion(stores, 'evaluations')
  const [verdict, setVerdict] = useViewChoice('items', verdicts, 'all')
  const [benchmark, setBenchmark] = useViewText('items.of', '')
  const [page, setPage] = useState(1)
  const items = store.samples.flatMap((sample) => (sample.item ? [{ ...sample, item: sample.item }] : []))
  if (items.length === 0)
    return (
      <Notice
        title="No items yet"
        text={isSettled(run.state) ? 'None was answered.' : 'They appear as they are answered.'}
      />
    )
  const names = [...new Set(items.map(({ item }) => item.benchmark))]
  const shown = items
    .filter(({ correct }) => verdict === 'all' || correct === (verdict === 'right'))
    .filter(({ item }) => benchmark === '' || item.benchmark === benchmark)
    .sort((a, b) => a.index - b.index)
  const pages = Math.max(1, Math.ceil(shown.length / perPage))
  const current = Math.min(page, pages)
  const choose = <T extends string>(set: (value: T) => void) => {
    return (value: T) => {
      set(value)
      setPage(1)
    }
  }
  return (
    <Stack gap="sm">
      <ScoresTable store={store} />
      <Group gap="sm">
        <SegmentedControl
          size="xs"
          aria-label="Which items"
          value={verdict}
          onChange={choose(setVerdict)}
          data={[
            { value: 'all', label: 'All' },
            { value: 'wrong', label: 'Wrong' },
            { value: 'right', label: 'Right' },
          ]}
        />
        {names.length > 1 ? (
          <Select
            size="xs"
            aria-label="Benchmark"
            placeholder="all benchmarks"
            clearable
            data={names}
            value={benchmark === '' ? null : benchmark}
            onChange={(value) => choose(setBenchmark)(value ?? '')}
          />
        ) : null}
        <Text size="sm" c="dimmed" role="status">
          {formatExact(shown.length)} of {formatExact(items.length)}
        </Text>
      </Group>
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="sm">
        {shown.slice((current - 1) * perPage, current * perPage).map((sample) => (
          <ItemCard key={sample.index} sample={sample} />
        ))}
      </SimpleGrid>
      {pages > 1 ? <Pagination total={pages} value={current} onChange={setPage} size="sm" /> : null}
    </Stack>
  )
}

function ScoresTable({ store }: { store: RunStore }) {
  const evaluation = store.evaluations.at(-1)
  if (!evaluation) return null
  const { byType, protocols = {} } = evaluation
  return (
    <Table.ScrollContainer minWidth={300} type="native">
      <Table withTableBorder verticalSpacing={4} fz="sm" data-testid="scores">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Benchmark</Table.Th>
            <Table.Th ta="right">Score</Table.Th>
            <Table.Th ta="right">Items</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {Object.entries(byType).map(([name, { accuracy, examples }]) => (
            <Table.Tr key={name}>
              <Table.Td>
                {name}
                {protocols[name] === undefined ? null : (
                  <Text size="xs" c="dimmed">
                    {protocols[name]}
                  </Text>
                )}
              </Table.Td>
              <Table.Td ta="right" className="numeric" style={{ whiteSpace: 'nowrap' }}>
                {formatPercent(accuracy)}
              </Table.Td>
              <Table.Td ta="right" className="numeric">
                {formatExact(examples)}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  )
}

type Item = Sample & { item: NonNullable<Sample['item']> }

function ItemCard({ sample }: { sample: Item }) {
  const { item, correct, prompt, completion, expected } = sample
  return (
    <Paper withBorder p="sm" data-testid="item">
      <Group justify="space-between" mb={4}>
        <Text size="xs" c="dimmed">
          {item.benchmark}, {item.id}
          {item.sample > 0 ? `, completion ${item.sample + 1}` : ''}
        </Text>
        <Badge color={correct ? 'teal' : 'orange'} variant="light" tt="none">
          {correct ? 'right' : 'wrong'}
        </Badge>
      </Group>
      {item.reason === null ? null : <Text size="sm">{item.reason}</Text>}
      {(
        [
          ['Prompt', prompt],
          ['Completion', completion],
          ['Taken of it', item.extracted ?? '(nothing)'],
          ['Reference', expected ?? ''],
        ] as const
      ).map(([label, text]) => (
        <div key={label}>
          <Text size="xs" fw={600} mt={6}>
            {label}
          </Text>
          <Code block className={classes['text']!}>
            {text === '' ? '(nothing)' : text}
          </Code>
        </div>
      ))}
    </Paper>
  )
}
