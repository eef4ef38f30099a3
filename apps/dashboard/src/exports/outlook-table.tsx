/** What exports would lose of ΔW: by rounding to a narrower type, and by truncating the rank. */
import { Stack, Table, Text } from '@mantine/core'
import type { ExportOutlook } from '@rankscope/protocol'
import { formatExact } from '../common/format.ts'

const percent = (share: number) => `${(100 * share).toPrecision(3)} %`

export function OutlookTable({ outlook, step }: { outlook: ExportOutlook; step: number }) {
  const { survives, byRank, byEnergy, modules } = outlook
  return (
    <Stack gap="xs" data-testid="export-outlook">
      <Text size="sm">
        {survives === null
          ? `At step ${formatExact(step)} no entry of the ${modules} modules has changed.`
          : `Of the entries that had changed by step ${formatExact(step)}, a save in bfloat16 keeps ${percent(survives.bfloat16)}, in float16 ${percent(survives.float16)}; the others are stored as in the base.`}
      </Text>
      <Table.ScrollContainer minWidth={560}>
        <Table verticalSpacing={4}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th ta="right">LoRA of rank</Table.Th>
              <Table.Th ta="right">left out of ‖ΔW‖</Table.Th>
              <Table.Th ta="right">of the worst module</Table.Th>
              <Table.Th>worst module</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {byRank.map(({ rank, error, worst, module }) => (
              <Table.Tr key={rank}>
                <Table.Td ta="right" className="numeric">
                  {formatExact(rank)}
                </Table.Td>
                <Table.Td ta="right" className="numeric">
                  {percent(error)}
                </Table.Td>
                <Table.Td ta="right" className="numeric">
                  {percent(worst)}
                </Table.Td>
                <Table.Td>{module}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      <Text size="sm">
        Least rank that keeps a share of ‖ΔW‖² in every module:{' '}
        {byEnergy.map(({ energy, rank }) => `${energy}: ${rank}`).join(', ')}.
      </Text>
    </Stack>
  )
}
