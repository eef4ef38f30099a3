/** The paper’s own numbers. */
import { Text } from '@mantine/core'
import type { Table } from '@rankscope/experiments'
import { ResultTable } from '../common/result-table.tsx'

export function PaperNumbers({ table }: { table: Table }) {
  return (
    <div data-testid="paper-numbers">
      <ResultTable
        table={table}
        minWidth={(table.columns.length > 6 ? 64 : 90) * table.columns.length}
        dense
      />
      <Text size="xs" c="dimmed">
        The paper’s numbers. {table.caption}
      </Text>
    </div>
  )
}
