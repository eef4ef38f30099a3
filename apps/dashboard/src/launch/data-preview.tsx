/**
 * The first examples of the data as the model will see them, asked of a node before anything is launched. Tokens that the
 * model is trained to write stand out from those that it only reads.
 */
import { Button, Group, Paper, Stack, Text } from '@mantine/core'
import { type PreviewAnswer, previewAnswer, type RunConfig } from '@rankscope/protocol'
import { IconEye } from '@tabler/icons-react'
import { useMutation } from '@tanstack/react-query'
import { request } from '../api/client.ts'
import { formatExact } from '../common/format.ts'
import { ErrorNotice } from '../common/notice.tsx'
import classes from './data-preview.module.css'

const shownExamples = 6

type Props = {
  /** The first of the runs; null while the form holds none. */
  config: RunConfig | null
}

export function DataPreview({ config }: Props) {
  const preview = useMutation({
    mutationFn: async (wanted: RunConfig) => {
      const body = { config: wanted, examples: shownExamples, nodeId: null }
      return {
        asked: questionOf(wanted),
        answer: await request('/preview', previewAnswer, { method: 'POST', body }),
      }
    },
  })
  // What was shown for other data is no preview of this one.
  const fits = config !== null && preview.data?.asked === questionOf(config)
  return (
    <Paper withBorder p="md" component="section" aria-label="Data preview">
      <Group justify="space-between">
        <Text fw={600}>Data as the model will see it</Text>
        <Button
          size="compact-sm"
          variant="default"
          leftSection={<IconEye size={14} />}
          disabled={config === null}
          loading={preview.isPending}
          onClick={() => config !== null && preview.mutate(config)}
        >
          {fits ? 'Preview again' : 'Preview'}
        </Button>
      </Group>
      {preview.error ? <ErrorNotice error={preview.error} /> : null}
      {fits && preview.data ? <Examples preview={preview.data.answer} /> : null}
    </Paper>
  )
}

/** All that the preview depends on. */
function questionOf({ model, data }: RunConfig): string {
  return JSON.stringify([model, data])
}

function Examples({ preview: { examples, notes } }: { preview: PreviewAnswer }) {
  return (
    <Stack gap="sm" mt="sm">
      <Text size="sm" c="dimmed">
        <span className={classes['trained']}>Marked</span> tokens are written by the model and trained on; the
        others it reads.
      </Text>
      {notes.map((note) => (
        <Text key={note} size="sm" c="orange">
          {note}
        </Text>
      ))}
      {examples.map(({ source, tokens, length }, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: examples have no name but their place
        <div key={index} data-testid="preview-example">
          <Text size="xs" c="dimmed" mb={2}>
            {source}, {formatExact(length)} tokens
            {tokens.length < length ? ` (the first ${formatExact(tokens.length)})` : ''}
          </Text>
          <div className={classes['tokens']}>
            {tokens.map(({ id, text, trained }, at) => (
              <span
                // biome-ignore lint/suspicious/noArrayIndexKey: tokens have no name but their place
                key={at}
                title={`${JSON.stringify(text)} is token ${id}`}
                className={trained ? classes['trained'] : classes['read']}
              >
                {text === '' ? '∅' : text.replaceAll('\n', '⏎\n')}
              </span>
            ))}
          </div>
        </div>
      ))}
    </Stack>
  )
}
