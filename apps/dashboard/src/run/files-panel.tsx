/** Checkpoints and exported artifacts, on the node that made them. */
import { CopyButton, Table, Text, UnstyledButton } from '@mantine/core'
import type { RunView } from '@rankscope/protocol'
import { useMemo } from 'react'
import { formatBytes, formatExact, formatMoment } from '../common/format.ts'
import { Notice } from '../common/notice.tsx'
import { useTopicVersion } from '../live/live-context.tsx'
import type { RunStore } from '../live/run-store.ts'

export function FilesPanel({ store, run }: { store: RunStore; run: RunView }) {
  const stores = useMemo(() => [store], [store])
  useTopicVersion(stores, 'files')
  // The newest first; a path that was written again is one file.
  const byPath = new Map(store.files.map((file) => [file.path, file]))
  const files = [...byPath.values()].sort((a, b) => b.timeMs - a.timeMs)
  if (files.length === 0) {
    return (
      <Notice
        title="No files yet"
        text="Checkpoints are written when the run is paused, on the Checkpoint command, or every so many steps; models and adapters at the end, where the configuration asks for them."
      />
    )
  }
  return (
    <Table.ScrollContainer minWidth={680}>
      <Table verticalSpacing="xs">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>File</Table.Th>
            <Table.Th ta="right">Step</Table.Th>
            <Table.Th ta="right">Attempt</Table.Th>
            <Table.Th ta="right">Size</Table.Th>
            <Table.Th>Written</Table.Th>
            <Table.Th>Path on the node</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {files.map((file) => (
            <Table.Tr key={`${file.kind} ${file.path}`}>
              <Table.Td>
                {file.kind}
                {file.path === run.checkpoint?.path ? ', newest' : ''}
              </Table.Td>
              <Table.Td ta="right" className="numeric">
                {file.step === null ? 'last' : formatExact(file.step)}
              </Table.Td>
              <Table.Td ta="right" className="numeric">
                {file.attempt}
              </Table.Td>
              <Table.Td ta="right" className="numeric">
                {formatBytes(file.bytes)}
              </Table.Td>
              <Table.Td className="numeric">{formatMoment(file.timeMs)}</Table.Td>
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
      <Text size="xs" c="dimmed" mt="xs">
        What the run wrote, newest first. Older checkpoints may have been removed on the node since.
      </Text>
    </Table.ScrollContainer>
  )
}
