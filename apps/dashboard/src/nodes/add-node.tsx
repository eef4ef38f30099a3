import { Button, Code, CopyButton, Group, Paper, Text } from '@mantine/core'
import { basePath } from '../api/base-path.ts'

/** The command that joins another machine. */
export function AddNode() {
  const command = `npm run node -- --server ${window.location.origin}${basePath.replace(/\/$/, '')} --token TOKEN`
  return (
    <Paper withBorder p="md" component="section" aria-label="Add a node">
      <Text fw={600} mb={4}>
        Add a node
      </Text>
      <Text size="sm" c="dimmed" mb="xs">
        On the other machine, in a checkout of Rankscope. TOKEN is the nodes’ token: the server keeps it in
        the file node-token of its data folder. The server must listen on an address that the machine reaches.
      </Text>
      <Group gap="xs">
        <Code style={{ overflowWrap: 'anywhere' }} fz="sm">
          {command}
        </Code>
        <CopyButton value={command}>
          {({ copied, copy }) => (
            <Button size="compact-sm" variant="default" onClick={copy}>
              {copied ? 'Copied' : 'Copy'}
            </Button>
          )}
        </CopyButton>
      </Group>
    </Paper>
  )
}
