/** Memory of each run to be launched, beside what its node offers. */
import { Table, Text, Tooltip } from '@mantine/core'
import { type MemoryEstimate, type MemoryPlan, memoryVerdict, methodLabel } from '@rankscope/protocol'
import { formatBytes } from '../common/format.ts'
import type { MemoryRow } from './memory-outlook.ts'
import type { AskedOutlook } from './use-memory-outlook.ts'

export function MemoryTable({ outlook: { configs, rows } }: { outlook: AskedOutlook }) {
  const [first] = rows
  if (!first) return null
  const isShared = rows.every(({ nodeName }) => nodeName === first.nodeName)
  return (
    <div data-testid="memory">
      <Text size="sm" fw={600}>
        Memory, at most
        {isShared ? (
          <Text span size="sm" c="dimmed">
            {' '}
            of {offer(first)}
          </Text>
        ) : null}
      </Text>
      <Table fz="sm" verticalSpacing={2} horizontalSpacing={0} withRowBorders={false} className="numeric">
        <Table.Tbody>
          {rows.map((row) => (
            <Table.Tr key={JSON.stringify(configs[row.index]?.method)}>
              <Table.Td>{methodLabel(configs[row.index]!)}</Table.Td>
              <Table.Td ta="right" style={{ whiteSpace: 'nowrap' }}>
                <Tooltip
                  label={<Parts estimate={row.plan.most} />}
                  events={{ hover: true, focus: true, touch: true }}
                >
                  <Text span size="sm" tabIndex={0} {...colourOf(row.plan)}>
                    {formatBytes(row.plan.most.totalBytes)}
                  </Text>
                </Tooltip>
                {isShared ? null : (
                  <Text size="xs" c="dimmed">
                    of {offer(row)}
                  </Text>
                )}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  )
}

const offer = ({ nodeName, plan }: MemoryRow) => `${formatBytes(plan.availableBytes)} on ${nodeName}`

const colourOf = (plan: MemoryPlan) =>
  ({ fits: {}, tight: { c: 'orange' }, impossible: { c: 'red' } })[memoryVerdict(plan)]

function Parts({ estimate }: { estimate: MemoryEstimate }) {
  const { modelBytes, stateBytes, gradientBytes, activationBytes, baseBytes } = estimate
  const parts: [string, number][] = [
    ['weights', modelBytes],
    ['adapters and optimizer', stateBytes],
    ['gradients', gradientBytes],
    ['activations', activationBytes],
    ['runtime', baseBytes],
  ]
  return (
    <>
      {parts.map(([name, bytes]) => (
        <div key={name}>
          {name} {formatBytes(bytes)}
        </div>
      ))}
    </>
  )
}
