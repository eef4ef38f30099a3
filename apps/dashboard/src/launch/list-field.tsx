/** A list of objects in the form, e.g. the sources of a mix: each with its own fields, to add and to take away. */
import { Button, Group, Input, type InputWrapperProps, Paper, SimpleGrid, Stack, Text } from '@mantine/core'
import { type ReactNode, useContext } from 'react'
import { FormContext } from './form-context.ts'
import { type Field, initialValues } from './schema.ts'

type Props = {
  field: Extract<Field, { kind: 'list' }>
  path: string
  value: unknown
  wrapper: Pick<InputWrapperProps, 'label' | 'description' | 'error'>
  /** The fields of an entry, at its path. */
  entry: (path: string) => ReactNode
}

export function ListField({ field, path, value, wrapper, entry }: Props) {
  const form = useContext(FormContext)
  const entries: unknown[] = Array.isArray(value) ? value : []
  return (
    <Input.Wrapper {...wrapper} labelElement="div" style={{ gridColumn: '1 / -1' }}>
      <Stack gap="sm" mt="xs">
        {entries.map((_, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: entries have no name but their place
          <Paper key={index} withBorder p="sm" data-testid="list-entry">
            <Group justify="space-between" mb="xs">
              <Text size="sm" fw={500}>
                {index + 1}
              </Text>
              <Button
                size="compact-xs"
                variant="subtle"
                onClick={() => form.change(path, entries.toSpliced(index, 1))}
              >
                Remove
              </Button>
            </Group>
            <SimpleGrid cols={{ base: 1, sm: 2, xl: 3 }} spacing="md">
              {entry(`${path}.${index}`)}
            </SimpleGrid>
          </Paper>
        ))}
        <Group>
          <Button
            size="compact-sm"
            variant="default"
            onClick={() => form.change(path, [...entries, initialValues(field.fields)])}
          >
            Add
          </Button>
        </Group>
      </Stack>
    </Input.Wrapper>
  )
}
