import { Group, Kbd, Modal, Stack, Text } from '@mantine/core'
import { useListedShortcuts } from './shortcuts.ts'

const keyNames: Record<string, string> = { ' ': 'Space', ArrowLeft: '←', ArrowRight: '→' }

/** Every shortcut that works on the current page. */
export function ShortcutDialog({ opened, close }: { opened: boolean; close: () => void }) {
  const shortcuts = useListedShortcuts()
  const groups = [...new Set(shortcuts.map((shortcut) => shortcut.group))]
  return (
    <Modal opened={opened} onClose={close} title="Keyboard shortcuts" centered>
      <Stack>
        {groups.map((group) => (
          <Stack key={group} gap={6}>
            <Text size="sm" fw={600}>
              {group}
            </Text>
            {shortcuts
              .filter((shortcut) => shortcut.group === group)
              .map((shortcut) => (
                <Group key={shortcut.keys} justify="space-between" wrap="nowrap">
                  <Text size="sm">{shortcut.label}</Text>
                  <Group gap={4} wrap="nowrap">
                    {(shortcut.keys === ' ' ? [' '] : shortcut.keys.split(' ')).map((key) => (
                      <Kbd key={key}>{keyNames[key] ?? key}</Kbd>
                    ))}
                  </Group>
                </Group>
              ))}
          </Stack>
        ))}
      </Stack>
    </Modal>
  )
}
