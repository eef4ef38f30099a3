/** Queue an evaluation without training: of a model that a node offers, or of what a run left there. */
import {
  Autocomplete,
  Button,
  Group,
  Loader,
  Paper,
  SegmentedControl,
  Select,
  SimpleGrid,
  Stack,
  Switch,
  Text,
  Title,
} from '@mantine/core'
import type { RunView } from '@rankscope/protocol'
import { IconListCheck } from '@tabler/icons-react'
import { useMemo, useState } from 'react'
import { useNavigate } from 'react-router'
import { useCreateRuns, useRuns } from '../api/queries.ts'
import { formatExact } from '../common/format.ts'
import { ErrorNotice } from '../common/notice.tsx'
import { useViewChoice, useViewFlag, useViewText } from '../common/view-state.ts'
import { FieldInputs } from '../launch/field-input.tsx'
import { FormContext } from '../launch/form-context.ts'
import { getAt, setAt } from '../launch/path.ts'
import { configFields } from '../launch/schema.ts'
import { useOffers } from '../launch/use-offers.ts'
import { useRunStores, useTopicVersion } from '../live/live-context.tsx'
import { initialSettings, planEvaluation, type Subject } from './evaluation-plan.ts'

const topics = ['files'] as const
/** Settings that have no effect without training. */
const trainingOnly = [
  ...['everySteps', 'atStart', 'atEnd', 'maxNewTokens', 'samples', 'forgetting'].map(
    (key) => `evaluation.${key}`,
  ),
  'resources.gradientCheckpointing',
]

export function EvaluatePage() {
  const [runId] = useViewText('run', '')
  const [kind, setKind] = useViewChoice('of', ['model', 'run'] as const, runId === '' ? 'model' : 'run')
  const [model, setModel] = useViewText('model', '')
  const [all, setAll] = useViewFlag('all')
  const [settings, setSettings] = useState<object>(initialSettings)
  const [remains, setRemains] = useState<Extract<Subject, { kind: 'run' }> | null>(null)
  const create = useCreateRuns()
  const navigate = useNavigate()
  const offers = useOffers()
  const subject: Subject | null = kind === 'model' ? { kind, path: model } : remains
  const { config, findings } = planEvaluation(subject, settings)
  const start = async () => {
    const [run] = await create.mutateAsync([config!])
    void navigate(`/runs/${run!.runId}`)
  }
  return (
    <Stack gap="md">
      <Group justify="space-between">
        <Title order={2}>Evaluate</Title>
        <Switch
          label="All settings"
          checked={all}
          onChange={(event) => setAll(event.currentTarget.checked)}
        />
      </Group>
      <Text c="dimmed" size="sm">
        Scores a model by benchmarks without training it. Every item is kept: prompt, completion, what was
        taken of it, the reference and the verdict.
      </Text>
      <Paper withBorder p="md" component="section" aria-label="What is evaluated">
        <Text fw={600} mb="xs">
          What is evaluated
        </Text>
        <Stack gap="sm">
          <SegmentedControl
            aria-label="What is evaluated"
            value={kind}
            onChange={setKind}
            data={[
              { value: 'model', label: 'A model' },
              { value: 'run', label: 'What a run left' },
            ]}
            w={280}
          />
          {kind === 'model' ? (
            <Autocomplete
              label="Model"
              description="Name of a model that a node offers, or a folder inside the ones it allows."
              inputWrapperOrder={['label', 'input', 'error', 'description']}
              value={model}
              onChange={setModel}
              data={offers['model.path'] ?? []}
              maw={520}
            />
          ) : (
            <RemainsSelect chosen={remains} choose={setRemains} />
          )}
        </Stack>
      </Paper>
      <FormContext
        value={{
          values: settings,
          change: (path, value) => {
            create.reset()
            setSettings(setAt(settings, path, value))
          },
          isChanged: (path) => getAt(settings, path) !== getAt(initialSettings(), path),
          findings: findings.map((finding) => ({ ...finding, method: null })),
          all,
          shows: (path) => !trainingOnly.includes(path),
          offers,
        }}
      >
        <Paper withBorder p="md" component="section" aria-label="How it is scored">
          <Text fw={600} mb="xs">
            How it is scored
          </Text>
          <SimpleGrid cols={{ base: 1, sm: 2, xl: 3 }} spacing="md">
            <FieldInputs
              fields={configFields.filter(({ key }) => ['evaluation', 'resources', 'name'].includes(key))}
              path=""
            />
          </SimpleGrid>
        </Paper>
      </FormContext>
      {create.error ? <ErrorNotice error={create.error} /> : null}
      <Group gap="sm">
        <Button
          leftSection={<IconListCheck size={16} />}
          disabled={config === null}
          loading={create.isPending}
          onClick={() => void start()}
        >
          Evaluate
        </Button>
        <Text size="sm" c="dimmed" role="status">
          {findings
            .filter(({ severity }) => severity === 'error')
            .map(({ message }) => message)
            .join('; ')}
        </Text>
      </Group>
    </Stack>
  )
}

type RemainsProps = {
  chosen: Extract<Subject, { kind: 'run' }> | null
  choose: (subject: Extract<Subject, { kind: 'run' }> | null) => void
}

function RemainsSelect({ chosen, choose }: RemainsProps) {
  const { data: runs } = useRuns()
  const [runId, setRunId] = useViewText('run', '')
  const trained = (runs ?? []).filter(
    ({ config, nodeId }) => config.job.kind === 'training' && nodeId !== null,
  )
  const run = trained.find((candidate) => candidate.runId === runId)
  if (!runs) return <Loader size="sm" aria-label="Loading the runs" />
  return (
    <Group align="end" gap="sm">
      <Select
        label="Run"
        searchable
        data={trained.map((candidate) => ({ value: candidate.runId, label: candidate.name })).reverse()}
        value={run ? runId : null}
        onChange={(next) => {
          choose(null)
          setRunId(next ?? '')
        }}
        w={300}
      />
      {run ? <FileSelect key={runId} run={run} chosen={chosen} choose={choose} /> : null}
    </Group>
  )
}

function FileSelect({ run, chosen, choose }: RemainsProps & { run: RunView }) {
  const ids = useMemo(() => [run.runId], [run.runId])
  const { stores } = useRunStores(ids, topics)
  useTopicVersion(stores, 'files')
  const [store] = stores
  if (!store?.isReady('files')) return <Loader size="sm" aria-label="Loading the files" />
  const files = [...store.files]
    .filter(({ kind }) => kind === 'checkpoint' || kind === 'model')
    .sort((a, b) => b.timeMs - a.timeMs)
  if (files.length === 0)
    return (
      <Text size="sm" c="dimmed" pb={8}>
        It left neither a checkpoint nor a model.
      </Text>
    )
  return (
    <Select
      label="Checkpoint or export"
      data={files.map(({ kind, step, path, attempt }) => ({
        value: path,
        label: `${kind === 'model' ? 'exported model' : `checkpoint of step ${formatExact(step ?? 0)}`}${attempt > 1 ? `, attempt ${attempt}` : ''}`,
      }))}
      value={chosen?.path ?? null}
      onChange={(path) => {
        const file = files.find((candidate) => candidate.path === path)
        choose(
          file
            ? { kind: 'run', run, what: file.kind === 'model' ? 'model' : 'checkpoint', path: file.path }
            : null,
        )
      }}
      allowDeselect={false}
      w={300}
    />
  )
}
