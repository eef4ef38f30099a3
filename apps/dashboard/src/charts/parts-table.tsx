/** What the update of one module is made of: first order, second order and rounding, and who holds the tail. */
import { Group, HoverCard, Paper, Table, Text, UnstyledButton } from '@mantine/core'
import { IconHelpCircle } from '@tabler/icons-react'
import { formatExact, formatNumber, formatPercent, shortModule } from '../common/format.ts'
import { useTopicVersion } from '../live/live-context.tsx'
import type { RunStore } from '../live/run-store.ts'
import { type PartRow, partLabels, partRows } from './parts.ts'
import type { RunCurve } from './use-curves.ts'
import type { SpectrumView } from './use-spectrum-view.ts'

type Props = { curves: readonly RunCurve[]; stores: readonly RunStore[]; view: SpectrumView }

export function PartsTable({ curves, stores, view }: Props) {
  useTopicVersion(stores, 'spectra')
  const { module, step } = view
  if (module === null) return null
  const shown = curves
    .map((curve) => ({ curve, rows: partRows(curve.store.spectra, module, step) }))
    .filter(({ rows }) => rows.length > 0)
  if (shown.length === 0) return null
  return (
    <Paper withBorder p="sm" data-testid="parts-table">
      <Group gap={6} mb={4}>
        <Text fw={600} size="sm">
          What ΔW is made of
        </Text>
        <Help />
        <Text size="xs" c="dimmed">
          {shortModule(module)}
        </Text>
      </Group>
      <Table.ScrollContainer minWidth={520} type="native">
        <Table verticalSpacing={4} horizontalSpacing="xs" fz="xs">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Part</Table.Th>
              {['‖·‖_F', 'σ₁', 'Tail ratio at 2Kr', 'Beyond 1st order', 'Share of the tail'].map((title) => (
                <Table.Th key={title} ta="right">
                  {title}
                </Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {shown.map(({ curve, rows }) => (
              <RunRows key={curve.runId} curve={curve} rows={rows} named={shown.length > 1} module={module} />
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </Paper>
  )
}

function RunRows(props: { curve: RunCurve; rows: readonly PartRow[]; named: boolean; module: string }) {
  const { curve, rows, named, module } = props
  const { step } = rows[0]!
  const { spectra } = curve.store
  const total = spectra.at(module, 'total', step)
  const floor = total && spectra.measureOf(total, 'noiseFloor')
  return (
    <>
      {rows.map(({ part, frobenius, largest, tailRatio, beyond, share }) => (
        <Table.Tr key={part}>
          <Table.Td>{named ? `${curve.label}, ${partLabels[part]}` : partLabels[part]}</Table.Td>
          {[
            ...[frobenius, largest, tailRatio, beyond].map((value) => formatNumber(value)),
            formatPercent(share),
          ].map((text, column) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a column is its place
            <Table.Td key={column} ta="right" className="numeric">
              {text}
            </Table.Td>
          ))}
        </Table.Tr>
      ))}
      <Table.Tr>
        <Table.Td colSpan={6} c="dimmed">
          {named ? `${curve.label}: ` : ''}Step {formatExact(step)}. Noise floor{' '}
          {floor === null
            ? 'unknown: the total is no difference of stored weights.'
            : `${formatNumber(floor)} expected, ${formatNumber(rows.find(({ part }) => part === 'rounding')?.largest)} measured (σ₁ of the rounding).`}
        </Table.Td>
      </Table.Tr>
    </>
  )
}

function Help() {
  return (
    <HoverCard width={360} withinPortal>
      <HoverCard.Target>
        <UnstyledButton aria-label="What the columns mean" c="dimmed" lh={0}>
          <IconHelpCircle size={15} />
        </UnstyledButton>
      </HoverCard.Target>
      <HoverCard.Dropdown>
        <Text size="xs">
          ΔW = first order + second order + rounding. The first-order part has rank 2Kr at most, however long
          the run. Beyond 1st order: ‖P X Q‖_F, P and Q projecting away from its columns and rows, where only
          second order and rounding are left; the share is of the sum of their squares there. A tail that is
          rounding says nothing about the method. Expected noise floor: s √T (√m + √n), s one float32 rounding
          of W.
        </Text>
      </HoverCard.Dropdown>
    </HoverCard>
  )
}
