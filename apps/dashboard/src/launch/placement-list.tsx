/** Where the devices of runs with one process per device would go if they were launched now, or what they would wait for. */
import { List, Text } from '@mantine/core'
import { methodLabel } from '@rankscope/protocol'
import type { AskedOutlook } from './use-memory-outlook.ts'

export function PlacementList({ outlook: { configs, placements } }: { outlook: AskedOutlook }) {
  const processes = configs.flatMap((config, index) => {
    const placement = placements[index]
    return config.parallel.mode === 'processes' && placement ? [{ config, placement }] : []
  })
  if (processes.length === 0) return null
  return (
    <div data-testid="placement">
      <Text size="sm" fw={600}>
        Devices now
      </Text>
      <List size="sm" spacing={2}>
        {processes.map(({ config, placement: { devices, waitingFor } }) => (
          <List.Item key={JSON.stringify([config.method, config.parallel])}>
            {processes.length > 1 ? `${methodLabel(config)}: ` : ''}
            {waitingFor === null
              ? devices.map(({ name, devices: count }) => `${count} on ${name}`).join(', ')
              : `waits for ${waitingFor}`}
          </List.Item>
        ))}
      </List>
    </div>
  )
}
