/** Checkpoints and exported artifacts, on the node that made them. */
import { CopyButton, Table, Text, UnstyledButton } from '@mantine/core'
import type { RunView } from '@rankscope/protocol'
import { useMemo } from 'react'
import { formatBytes } from '../common/format.ts'
import { Notice } from '../common/notice.tsx'
import { useTopicVersion } from '../live/live-context.tsx'
import type { RunFile, RunStore } from '../live/run-store.ts'

export function FilesPanel({ store, run }: { store: RunStore; run: RunView }) {
  const stores = useMemo(() => [store], [store])
  useTopicVersion(stores, 'files')
  const newest = run.checkpoint
  const files: RunFile[] =
    newest && !store.files.some((file) => file.path === newest.path)
      ? [{ kind: 'checkpoint', ...newest }, ...store.files]
      : store.files
  if (files.length === 0) {
    return (
      <Notice
        title="No files yet"
        text="Checkpoints are written when the run is paused, on the Checkpoint command, or every so many steps; models and adapters at the end, where the configuration asks for them."
      />
    )
  }
  return (
    <Table.ScrollContainer minWidth={520}>
      <Table verticalSpacing="xs">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>File</Table.Th>
            <Table.Th ta="right">Step</Table.Th>
            <Table.Th ta="right">Size</Table.Th>
            <Table.Th>Path on the node</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {files.map((file) => (
            <Table.Tr key={`${file.kind} ${file.path}`}>
              <Table.Td>{file.kind}</Table.Td>
              <Table.Td ta="right" className="numeric">
                {file.step ?? 'last'}
              </Table.Td>
              <Table.Td ta="right" className="numeric">
                {formatBytes(file.bytes)}
              </Table.Td>
              <Table.Td>
                <CopyButton value={file.path}>
                  {({ copied, copy }) => (
                    <UnstyledButton onClick={copy} title="Copy the path">
                      <Text size="sm" ff="monospace" style={{ overflowWrap: 'anywhere' }}>
                        {copied ? 'copied' : file.path}
                      </Text>
                    </UnstyledButton>
                  )}
                </CopyButton>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  )
}
