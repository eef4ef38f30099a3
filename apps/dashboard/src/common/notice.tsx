/** What a page says when it is empty or something failed: what is the case, and what to do. */
import { Alert, Button, Code, Group, Stack, Text, Title } from '@mantine/core'
import { RankscopeError } from '@rankscope/protocol'
import { IconAlertTriangle } from '@tabler/icons-react'
import type { ReactNode } from 'react'

export function Notice({ title, text, children }: { title: string; text?: ReactNode; children?: ReactNode }) {
  return (
    <Stack align="center" gap="sm" py={64} px="md" ta="center">
      <Title order={3} fw={600}>
        {title}
      </Title>
      {text ? (
        <Text c="dimmed" maw={520}>
          {text}
        </Text>
      ) : null}
      {children ? <Group justify="center">{children}</Group> : null}
    </Stack>
  )
}

/** An error with its code, message and hint. */
export function ErrorNotice({ error, retry }: { error: Error; retry?: () => void }) {
  const coded = error instanceof RankscopeError ? error : null
  return (
    <Alert
      color="red"
      icon={<IconAlertTriangle size={18} />}
      title={coded?.message ?? error.message}
      role="alert"
      data-testid="error"
    >
      <Group gap="sm">
        {coded ? <Code>{coded.code}</Code> : null}
        {coded?.hint ? <Text size="sm">Try: {coded.hint}.</Text> : null}
        {retry ? (
          <Button size="compact-sm" variant="light" color="red" onClick={retry}>
            Try again
          </Button>
        ) : null}
      </Group>
    </Alert>
  )
}
