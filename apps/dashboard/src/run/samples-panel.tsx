/** What the model wrote at each evaluation, beside what was expected. */
import { Badge, Code, Group, Paper, Select, SimpleGrid, Stack, Text } from '@mantine/core'
import { isSettled, type RunView } from '@rankscope/protocol'
import { useMemo } from 'react'
import { formatExact, formatPercent } from '../common/format.ts'
import { Notice } from '../common/notice.tsx'
import { useViewText } from '../common/view-state.ts'
import { useTopicVersion } from '../live/live-context.tsx'
import type { RunStore, Sample } from '../live/run-store.ts'
import classes from './samples-panel.module.css'

export function SamplesPanel({ store, run }: { store: RunStore; run: RunView }) {
  const stores = useMemo(() => [store], [store])
  useTopicVersion(stores, 'samples')
  useTopicVersion(stores, 'evaluations')
  const [stepText, setStep] = useViewText('samples.step', '')
  const steps = [...new Set(store.samples.map((sample) => sample.step))].sort((a, b) => b - a)
  if (steps.length === 0) {
    return (
      <Notice
        title="No samples yet"
        text={
          isSettled(run.state)
            ? 'The run recorded none; evaluation.samples says how many are kept.'
            : 'They appear with the first evaluation.'
        }
      />
    )
  }
  const step = steps.includes(Number(stepText)) && stepText !== '' ? Number(stepText) : steps[0]!
  // The last step has both: the samples are those of the test.
  const evaluation = store.evaluations.findLast((candidate) => candidate.step === step)
  const shown = store.samples.filter((sample) => sample.step === step).sort((a, b) => a.index - b.index)
  return (
    <Stack gap="sm">
      <Group gap="sm">
        <Select
          size="xs"
          w={150}
          aria-label="Step of the evaluation"
          allowDeselect={false}
          value={String(step)}
          onChange={(value) => value !== null && setStep(value === String(steps[0]) ? '' : value)}
          data={steps.map((value) => ({ value: String(value), label: `step ${formatExact(value)}` }))}
        />
        {evaluation ? (
          <Text size="sm" c="dimmed">
            {evaluation.accuracy === null ? '' : `${formatPercent(evaluation.accuracy)} of `}
            {formatExact(evaluation.examples)} {evaluation.split === 'validation' ? 'validation' : 'test'}{' '}
            examples
            {evaluation.meanAccuracy === undefined
              ? ''
              : `, mean over benchmarks ${formatPercent(evaluation.meanAccuracy)}`}
            {Object.entries(evaluation.byType).map(
              ([type, { accuracy }]) => `, ${type} ${formatPercent(accuracy)}`,
            )}
          </Text>
        ) : null}
        {evaluation?.protocols ? (
          <Text size="xs" c="dimmed" data-testid="protocols">
            {Object.entries(evaluation.protocols)
              .map(([name, protocol]) => `${name}: ${protocol}`)
              .join('; ')}
          </Text>
        ) : null}
      </Group>
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="sm">
        {shown.map((sample) => (
          <SampleCard key={sample.index} sample={sample} />
        ))}
      </SimpleGrid>
    </Stack>
  )
}

function SampleCard({ sample }: { sample: Sample }) {
  return (
    <Paper withBorder p="sm">
      <Group justify="space-between" mb={4}>
        <Text size="xs" c="dimmed">
          example {sample.index}
        </Text>
        {sample.correct === null ? null : (
          <Badge color={sample.correct ? 'teal' : 'orange'} variant="light" tt="none">
            {sample.correct ? 'correct' : 'wrong'}
          </Badge>
        )}
      </Group>
      <Part label="Prompt" text={sample.prompt} />
      <Part label="Completion" text={sample.completion} />
      {sample.expected === null ? null : <Part label="Expected" text={sample.expected} />}
    </Paper>
  )
}

function Part({ label, text }: { label: string; text: string }) {
  return (
    <>
      <Text size="xs" fw={600} mt={6}>
        {label}
      </Text>
      <Code block className={classes['text']!}>
        {text === '' ? '(nothing)' : text}
      </Code>
    </>
  )
}
