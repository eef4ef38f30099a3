/** Has the node that holds a run's checkpoints write one as a model, an adapter or ΔW, and says before what that loses. */
import { Button, Group, NumberInput, Paper, Select, Stack, Text } from '@mantine/core'
import {
  type ExportForm,
  type ExportRequest,
  exportRequestSchema,
  hasAdapter,
  type RunView,
  storedDtypes,
} from '@rankscope/protocol'
import { IconFileExport, IconZoomQuestion } from '@tabler/icons-react'
import { useMemo, useState } from 'react'
import { formatExact } from '../common/format.ts'
import { ErrorNotice } from '../common/notice.tsx'
import { useTopicVersion } from '../live/live-context.tsx'
import type { RunStore } from '../live/run-store.ts'
import { ExportJobs } from './export-jobs.tsx'
import { OutlookTable } from './outlook-table.tsx'
import { useExports } from './use-exports.ts'

type Form = Exclude<ExportForm, 'outlook'>

const formLabels: Record<Form, string> = {
  model: 'Merged model (Hugging Face folder)',
  adapter: 'PEFT adapter of the method',
  lora: 'LoRA by truncated SVD of ΔW',
  delta: 'ΔW as safetensors',
}

export function ExportPanel({ store, run }: { store: RunStore; run: RunView }) {
  const stores = useMemo(() => [store], [store])
  useTopicVersion(stores, 'files')
  const { jobs, start, cancel } = useExports(run.runId)
  const [form, setForm] = useState<Form>('model')
  const [checkpoint, setCheckpoint] = useState<string | null>(null)
  const [dtype, setDtype] = useState<(typeof storedDtypes)[number]>('float32')
  const [shardGib, setShardGib] = useState<number | string>('')
  const [by, setBy] = useState<'rank' | 'energy'>('rank')
  const [rank, setRank] = useState<number | string>(16)
  const [energy, setEnergy] = useState<number | string>(0.99)
  const paths = new Map(
    store.files.filter(({ kind }) => kind === 'checkpoint').map((file) => [file.path, file]),
  )
  const checkpoints = [...paths.values()].sort((a, b) => b.timeMs - a.timeMs)
  if (checkpoints.length === 0) return null
  const chosen = checkpoint ?? checkpoints[0]!.path
  const number = (value: number | string) => (value === '' ? null : Number(value))
  const raw: Record<Form, object> = {
    model: { as: 'model', dtype, shardGib: number(shardGib) },
    adapter: { as: 'adapter' },
    lora: { as: 'lora', ...(by === 'rank' ? { rank: number(rank) } : { energy: number(energy) }) },
    delta: { as: 'delta' },
  }
  const parsed = exportRequestSchema.safeParse(raw[form])
  const begin = (request: ExportRequest) => start.mutate({ request, checkpoint: chosen })
  const outlook = jobs.data?.find((job) => job.outlook !== null)
  return (
    <Paper withBorder p="md" component="section" aria-label="Export">
      <Stack gap="sm">
        <Text fw={600}>Export</Text>
        <Group align="end" gap="sm">
          <Select
            label="Checkpoint"
            data={checkpoints.map(({ path, step, attempt }, index) => ({
              value: path,
              label: `step ${formatExact(step ?? 0)}${attempt > 1 ? `, attempt ${attempt}` : ''}${index === 0 ? ' (newest)' : ''}`,
            }))}
            value={chosen}
            onChange={setCheckpoint}
            allowDeselect={false}
            w={190}
          />
          <Select
            label="As"
            data={(Object.keys(formLabels) as Form[]).map((value) => ({
              value,
              label: formLabels[value],
              disabled: value === 'adapter' && !hasAdapter(run.config),
            }))}
            value={form}
            onChange={(value) => setForm(value as Form)}
            allowDeselect={false}
            w={280}
          />
          {form === 'model' ? (
            <>
              <Select
                label="Stored as"
                data={storedDtypes}
                value={dtype}
                onChange={(value) => setDtype(value as typeof dtype)}
                allowDeselect={false}
                w={120}
              />
              <NumberInput
                label="Split at (GiB)"
                placeholder="one file"
                min={0.001}
                value={shardGib}
                onChange={setShardGib}
                w={120}
              />
            </>
          ) : null}
          {form === 'lora' ? (
            <>
              <Select
                label="Size given by"
                data={[
                  { value: 'rank', label: 'rank' },
                  { value: 'energy', label: 'energy kept' },
                ]}
                value={by}
                onChange={(value) => setBy(value as typeof by)}
                allowDeselect={false}
                w={130}
              />
              {by === 'rank' ? (
                <NumberInput label="Rank" min={1} max={4096} value={rank} onChange={setRank} w={100} />
              ) : (
                <NumberInput
                  label="Share of ‖ΔW‖²"
                  min={0}
                  max={1}
                  step={0.01}
                  value={energy}
                  onChange={setEnergy}
                  w={130}
                />
              )}
            </>
          ) : null}
          <Button
            leftSection={<IconFileExport size={16} />}
            disabled={!parsed.success}
            loading={start.isPending}
            onClick={() => parsed.success && begin(parsed.data)}
          >
            Export
          </Button>
          <Button
            variant="default"
            leftSection={<IconZoomQuestion size={16} />}
            onClick={() => begin({ as: 'outlook' })}
          >
            What would be lost?
          </Button>
        </Group>
        {start.error ? <ErrorNotice error={start.error} /> : null}
        {cancel.error ? <ErrorNotice error={cancel.error} /> : null}
        {jobs.error ? <ErrorNotice error={jobs.error} /> : null}
        <ExportJobs jobs={jobs.data ?? []} cancel={(jobId) => cancel.mutate(jobId)} />
        {outlook?.outlook ? <OutlookTable outlook={outlook.outlook} step={outlook.step} /> : null}
      </Stack>
    </Paper>
  )
}
