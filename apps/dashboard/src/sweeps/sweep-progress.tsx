/** How far a sweep is: its runs by state, as a bar and in words. */
import { Progress, Text } from '@mantine/core'
import type { RunState, SweepView } from '@rankscope/protocol'

const groups: readonly { label: string; colour: string; states: readonly RunState[] }[] = [
  { label: 'finished', colour: 'teal', states: ['finished'] },
  { label: 'running', colour: 'blue', states: ['assigned', 'running', 'pausing', 'stopping'] },
  { label: 'failed', colour: 'red', states: ['failed'] },
  { label: 'stopped', colour: 'orange', states: ['stopped'] },
  { label: 'paused', colour: 'yellow', states: ['paused'] },
  { label: 'waiting', colour: 'gray', states: ['queued', 'lost'] },
]

export function SweepProgress({ counts }: { counts: SweepView['counts'] }) {
  const total = Object.values(counts).reduce((sum, count) => sum + (count ?? 0), 0)
  const shown = groups
    .map((group) => ({ ...group, count: group.states.reduce((sum, state) => sum + (counts[state] ?? 0), 0) }))
    .filter(({ count }) => count > 0)
  const words = shown.map(({ label, count }) => `${count} ${label}`).join(', ')
  return (
    <div data-testid="sweep-progress">
      <Progress.Root size="md" role="img" aria-label={`${total} runs: ${words}`}>
        {shown
          .filter(({ label }) => label !== 'waiting')
          .map(({ label, count, colour }) => (
            <Progress.Section key={label} value={(100 * count) / total} color={colour} />
          ))}
      </Progress.Root>
      <Text size="xs" c="dimmed" mt={4}>
        {total} {total === 1 ? 'run' : 'runs'}: {words}
      </Text>
    </div>
  )
}
