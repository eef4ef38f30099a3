/** Memory of each run to be launched, beside what its node offers. */
import { Table, Text, Tooltip } from '@mantine/core'
import { type MemoryEstimate, type MemoryPlan, memoryVerdict, methodLabel } from '@rankscope/protocol'
import { formatBytes } from '../common/format.ts'
import type { AskedOutlook } from './use-memory-outlook.ts'

export function MemoryTable({ outlook: { configs, rows } }: { outlook: AskedOutlook }) {
  if (rows.length === 0) return null
  return (
    <div data-testid="memory">
      <Text size="sm" fw={600}>
        Memory, at most
      </Text>
      <Table fz="sm" verticalSpacing={2} horizontalSpacing={0} withRowBorders={false} className="numeric">
        <Table.Tbody>
          {rows.map(({ index, nodeName, plan }) => (
            <Table.Tr key={JSON.stringify(configs[index]?.method)}>
              <Table.Td>{methodLabel(configs[index]!)}</Table.Td>
              <Table.Td ta="right">
                <Tooltip
                  label={<Parts estimate={plan.most} />}
                  events={{ hover: true, focus: true, touch: true }}
                >
                  <Text span size="sm" tabIndex={0} {...colourOf(plan)}>
                    {formatBytes(plan.most.totalBytes)}
                  </Text>
                </Tooltip>
                <Text span size="sm" c="dimmed">
                  {' '}
                  of {formatBytes(plan.availableBytes)} on {nodeName}
                </Text>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  )
}

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
