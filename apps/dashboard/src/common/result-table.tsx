/** A table of results as `experiments/` makes them: numbers to the right, what is missing as a dash. */
import { Table as MantineTable } from '@mantine/core'
import type { Table } from '@rankscope/experiments'

type Props = { table: Table; testId?: string; minWidth: number; dense?: boolean }

export function ResultTable({ table, testId, minWidth, dense = false }: Props) {
  const align = (index: number) => (table.numeric?.[index] ? 'right' : 'left')
  return (
    <MantineTable.ScrollContainer minWidth={minWidth}>
      <MantineTable
        verticalSpacing={dense ? 4 : 'xs'}
        fz={dense && table.columns.length > 6 ? 'xs' : 'sm'}
        {...(testId === undefined ? {} : { 'data-testid': testId })}
      >
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
  )
}
