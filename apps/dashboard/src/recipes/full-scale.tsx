/** A recipe at the paper’s scale: what has to be named, what it needs of memory, and the launch. */
import { Alert, Autocomplete, Button, Group, NumberInput, Stack, Text } from '@mantine/core'
import { expandSweep, type Recipe, recipeSweep } from '@rankscope/experiments'
import { RankscopeError } from '@rankscope/protocol'
import { useMemo, useState } from 'react'
import { useNavigate } from 'react-router'
import { useNodes } from '../api/queries.ts'
import { useCreateSweep } from '../api/sweeps.ts'
import { downloadText } from '../charts/download.ts'
import { ErrorNotice } from '../common/notice.tsx'
import { MemoryTable } from '../launch/memory-table.tsx'
import { useMemoryOutlook } from '../launch/use-memory-outlook.ts'

export function FullScale({ recipe }: { recipe: Recipe }) {
  const [files, setFiles] = useState<Readonly<Record<string, string>>>({})
  const [maxSteps, setMaxSteps] = useState<number | null>(null)
  const nodes = useNodes().data ?? []
  const online = nodes.filter(({ state }) => state === 'online')
  const offers = {
    model: [...new Set(online.flatMap(({ hello }) => hello.models.map(({ path }) => path)))],
    data: [...new Set(online.flatMap(({ hello }) => hello.data.map(({ path }) => path)))],
  }
  const plan = useMemo(() => planFull(recipe, files, maxSteps), [recipe, files, maxSteps])
  const memory = useMemoryOutlook(
    plan.runs.map(({ config }) => config),
    online,
  )
  const create = useCreateSweep()
  const navigate = useNavigate()
  const launch = async () => {
    if (!plan.spec) return
    const made = await create.mutateAsync({ spec: plan.spec, runs: plan.runs })
    void navigate(`/sweeps/${made.sweepId}`)
  }
  const problems = [
    ...plan.problems,
    ...(memory?.findings ?? []).filter(({ severity }) => severity === 'error').map(({ message }) => message),
  ]
  return (
    <Stack
      gap="xs"
      component="form"
      aria-label={`${recipe.of} in full`}
      onSubmit={(event: React.FormEvent) => event.preventDefault()}
    >
      <Text size="sm" c="dimmed">
        {recipe.cost}
      </Text>
      {recipe.asks.map(({ key, kind, title, hint }) => (
        <Autocomplete
          key={key}
          label={title}
          description={hint}
          data={offers[kind]}
          value={files[key] ?? ''}
          onChange={(value) => setFiles((before) => ({ ...before, [key]: value }))}
        />
      ))}
      <NumberInput
        label="Stop after"
        description="Steps; empty means the paper’s own number. Less makes another experiment of it."
        min={1}
        allowDecimal={false}
        value={maxSteps ?? ''}
        onChange={(value) => setMaxSteps(typeof value === 'number' ? value : null)}
      />
      {memory ? <MemoryTable outlook={memory} /> : null}
      {problems.length > 0 ? (
        <Alert color="orange" p="xs" data-testid="recipe-problems">
          {problems.map((problem) => (
            <Text key={problem} size="sm">
              {problem}
            </Text>
          ))}
        </Alert>
      ) : null}
      {create.error ? <ErrorNotice error={create.error} /> : null}
      <Group gap="xs">
        <Button
          size="sm"
          disabled={plan.spec === null || problems.length > 0}
          loading={create.isPending}
          onClick={() => void launch().catch(() => {})}
        >
          {plan.spec === null
            ? 'Launch in full'
            : `Launch ${plan.runs.length} ${plan.runs.length === 1 ? 'run' : 'runs'} in full`}
        </Button>
        {plan.spec ? (
          <Button
            size="sm"
            variant="default"
            onClick={() => downloadText(JSON.stringify(plan.spec, null, 2), `${recipe.id}.json`)}
          >
            Save as a file
          </Button>
        ) : null}
      </Group>
    </Stack>
  )
}

function planFull(recipe: Recipe, files: Readonly<Record<string, string>>, maxSteps: number | null) {
  try {
    const { base, ...rest } = recipeSweep(recipe, 'full', files)
    const training = {
      ...(base['training'] as object | undefined),
      ...(maxSteps === null ? {} : { maxSteps }),
    }
    const spec = { ...rest, base: { ...base, training } }
    const { runs, findings } = expandSweep(spec)
    const problems = findings
      .filter(({ severity }) => severity === 'error')
      .map(({ path, message }) => `${path}: ${message}`)
    return { spec: runs.length > 0 ? spec : null, runs, problems: [...new Set(problems)] }
  } catch (error) {
    if (!(error instanceof RankscopeError)) throw error
    const missing = recipe.asks.filter(({ key }) => (files[key] ?? '').trim() === '')
    return { spec: null, runs: [], problems: missing.map(({ title, hint }) => `${title}: name ${hint}`) }
  }
}
