/** The paper’s own numbers. */
import { Table as MantineTable, Text } from '@mantine/core'
import type { Table } from '@rankscope/experiments'

export function PaperNumbers({ table }: { table: Table }) {
  const align = (index: number) => (table.numeric?.[index] ? 'right' : 'left')
  return (
    <div data-testid="paper-numbers">
      <MantineTable.ScrollContainer minWidth={90 * table.columns.length}>
        <MantineTable verticalSpacing={4} fz="sm">
          <MantineTable.Thead>
            <MantineTable.Tr>
              {table.columns.map((column, index) => (
                <MantineTable.Th key={column} ta={align(index)}>
                  {column}
                </MantineTable.Th>
              ))}
            </MantineTable.Tr>
          </MantineTable.Thead>
          <MantineTable.Tbody>
            {table.rows.map((cells) => (
              <MantineTable.Tr key={cells[0]}>
                {cells.map((cell, index) => (
                  <MantineTable.Td key={table.columns[index]} ta={align(index)} className="numeric">
                    {cell === '' ? '–' : cell}
                  </MantineTable.Td>
                ))}
              </MantineTable.Tr>
            ))}
          </MantineTable.Tbody>
        </MantineTable>
      </MantineTable.ScrollContainer>
      <Text size="xs" c="dimmed">
        The paper’s numbers. {table.caption}
      </Text>
    </div>
  )
}
