/** The exports that were asked for: how far each is, where it went, or why not. */
import { ActionIcon, Badge, Group, Progress, Stack, Text } from '@mantine/core'
import { type ExportJob, type ExportRequest, isExportOver } from '@rankscope/protocol'
import { IconX } from '@tabler/icons-react'
import { formatBytes, formatExact } from '../common/format.ts'

const colours: Record<ExportJob['state'], string> = {
  waiting: 'gray',
  running: 'blue',
  finished: 'green',
  failed: 'red',
  cancelled: 'gray',
}

export function ExportJobs({
  jobs,
  cancel,
}: {
  jobs: readonly ExportJob[]
  cancel: (jobId: string) => void
}) {
  return (
    <Stack gap="xs">
      {jobs.map((job) => (
        <Stack key={job.jobId} gap={4} data-testid="export-job">
          <Group gap="xs" wrap="nowrap" align="center">
            <Badge variant="light" color={colours[job.state]} style={{ flexShrink: 0 }}>
              {job.state}
            </Badge>
            <Text size="sm" style={{ flexShrink: 0 }}>
              {titleOf(job.request)}, step {formatExact(job.step)}
            </Text>
            <Text size="sm" c="dimmed" truncate>
              {isExportOver(job.state)
                ? job.bytes === null
                  ? ''
                  : formatBytes(job.bytes)
                : (job.detail ?? '')}
            </Text>
            {isExportOver(job.state) ? null : (
              <ActionIcon
                variant="subtle"
                color="gray"
                aria-label={`Cancel ${titleOf(job.request)}`}
                onClick={() => cancel(job.jobId)}
                ml="auto"
              >
                <IconX size={16} />
              </ActionIcon>
            )}
          </Group>
          {isExportOver(job.state) ? null : (
            <Progress
              value={100 * (job.progress ?? 0)}
              animated={job.progress === null}
              aria-label={`Progress of ${titleOf(job.request)}`}
            />
          )}
          {job.notes.map((note) => (
            <Text key={note} size="sm" style={{ overflowWrap: 'anywhere' }}>
              {note}
            </Text>
          ))}
          {job.path === null ? null : (
            <Text
              size="xs"
              c="dimmed"
              ff="monospace"
              data-testid="export-path"
              style={{ overflowWrap: 'anywhere' }}
            >
              {job.path}
            </Text>
          )}
          {job.error === null ? null : (
            <Text size="sm" c="red" role="alert">
              {job.error.code}: {job.error.message}
              {job.error.hint === null ? '' : ` – ${job.error.hint}`}
            </Text>
          )}
        </Stack>
      ))}
    </Stack>
  )
}

function titleOf(request: ExportRequest): string {
  switch (request.as) {
    case 'model':
      return `Model, ${request.dtype}`
    case 'adapter':
      return 'Adapter'
    case 'lora':
      return request.rank === null ? `LoRA of energy ${request.energy}` : `LoRA of rank ${request.rank}`
    case 'delta':
      return 'ΔW'
    case 'outlook':
      return 'What would be lost'
    default:
      return request satisfies never
  }
}
