/** The configurations as JSON: to read, edit, copy, load from a file and save. */
import { Button, CopyButton, FileButton, Group, Text, Textarea } from '@mantine/core'
import { downloadText } from '../charts/download.ts'

type Props = {
  text: string
  /** Whether the text was edited and no longer follows the form. */
  edited: boolean
  setText: (text: string) => void
  reset: () => void
  problem: string | null
}

export function JsonEditor({ text, edited, setText, reset, problem }: Props) {
  const open = async (file: File | null) => {
    if (file) setText(await file.text())
  }
  return (
    <>
      <Group gap="xs" mb="xs">
        <FileButton onChange={(file) => void open(file)} accept="application/json,.json">
          {(props) => (
            <Button {...props} size="compact-sm" variant="default">
              Open a file …
            </Button>
          )}
        </FileButton>
        <Button size="compact-sm" variant="default" onClick={() => downloadText(text, 'rankscope-runs.json')}>
          Save as file
        </Button>
        <CopyButton value={text}>
          {({ copied, copy }) => (
            <Button size="compact-sm" variant="default" onClick={copy}>
              {copied ? 'Copied' : 'Copy'}
            </Button>
          )}
        </CopyButton>
        {edited ? (
          <Button size="compact-sm" variant="subtle" onClick={reset}>
            Back to the form’s settings
          </Button>
        ) : null}
      </Group>
      <Textarea
        aria-label="Configurations as JSON"
        autosize
        minRows={16}
        maxRows={40}
        spellCheck={false}
        ff="monospace"
        styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)', fontSize: 12.5 } }}
        value={text}
        error={problem}
        onChange={(event) => setText(event.currentTarget.value)}
      />
      <Text size="xs" c="dimmed" mt={4}>
        One configuration, or a list of them. Settings left out take their defaults; unknown ones are refused.
      </Text>
    </>
  )
}
