/** Settings that take several values: one row each, with how many values were read. */
import { ActionIcon, Button, Group, Paper, Select, Stack, Text, TextInput } from '@mantine/core'
import { parseAxisText } from '@rankscope/experiments'
import { RankscopeError } from '@rankscope/protocol'
import { IconPlus, IconTrash } from '@tabler/icons-react'
import type { Vary } from './vary.ts'

type Props = {
  vary: readonly Vary[]
  setVary: (vary: readonly Vary[]) => void
  settings: readonly { path: string; title: string }[]
}

export function VaryPanel({ vary, setVary, settings }: Props) {
  const replace = (index: number, change: Partial<Vary>) =>
    setVary(vary.map((row, other) => (other === index ? { ...row, ...change } : row)))
  const free = settings.find(
    ({ path }) => path === 'optimizer.learningRate' && vary.every((row) => row.path !== path),
  )
  const next = free ?? settings.find(({ path }) => vary.every((row) => row.path !== path))
  return (
    <Paper withBorder p="md" component="section" aria-label="Vary settings">
      <Stack gap="xs">
        <Group justify="space-between">
          <Text fw={600}>Vary settings</Text>
          <Button
            size="compact-sm"
            variant="light"
            leftSection={<IconPlus size={14} />}
            disabled={next === undefined}
            onClick={() => next && setVary([...vary, { path: next.path, text: '' }])}
          >
            Vary a setting
          </Button>
        </Group>
        <Text size="sm" c="dimmed">
          {vary.length === 0
            ? 'Give a setting several values and launch a sweep: one run per combination of methods, values and seeds.'
            : 'Values with commas, or a range: 1e-5…1e-3 log 7 · 4…16 lin 4 · 0…4'}
        </Text>
        {vary.map((row, index) => (
          <Group key={row.path} gap="xs" align="flex-start" wrap="nowrap">
            <Select
              aria-label={`Setting ${index + 1}`}
              searchable
              allowDeselect={false}
              flex={1}
              miw={120}
              value={row.path}
              onChange={(path) => path !== null && replace(index, { path })}
              data={settings
                .filter(({ path }) => path === row.path || vary.every((other) => other.path !== path))
                .map(({ path, title }) => ({ value: path, label: title }))}
            />
            <TextInput
              aria-label={`Values of setting ${index + 1}`}
              flex={1}
              miw={120}
              placeholder="1e-5, 2e-5, 5e-5"
              value={row.text}
              onChange={(event) => replace(index, { text: event.currentTarget.value })}
              {...valuesNote(row.text)}
              inputWrapperOrder={['label', 'input', 'error', 'description']}
            />
            <ActionIcon
              variant="subtle"
              color="gray"
              mt={5}
              aria-label={`Do not vary setting ${index + 1}`}
              onClick={() => setVary(vary.filter((_, other) => other !== index))}
            >
              <IconTrash size={16} />
            </ActionIcon>
          </Group>
        ))}
      </Stack>
    </Paper>
  )
}

function valuesNote(text: string): { error?: string; description?: string } {
  if (text.trim() === '') return { description: 'name its values' }
  try {
    const count = parseAxisText(text).length
    return { description: count === 1 ? 'one value' : `${count} values` }
  } catch (error) {
    return { error: error instanceof RankscopeError ? error.message : String(error) }
  }
}
