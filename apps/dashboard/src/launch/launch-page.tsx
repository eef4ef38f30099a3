/** Launch one run, or one per method to compare them. */
import {
  Button,
  Grid,
  Group,
  Loader,
  SegmentedControl,
  Select,
  Space,
  Stack,
  Switch,
  Text,
  Title,
} from '@mantine/core'
import { estimateTime } from '@rankscope/experiments'
import { type MethodName, methodNames, plannedSteps, type RunConfig } from '@rankscope/protocol'
import { useMemo, useState } from 'react'
import { useNavigate } from 'react-router'
import { useCreateRuns, useNodes, useRuns } from '../api/queries.ts'
import { useCreateSweep } from '../api/sweeps.ts'
import { useViewChoice, useViewFlag, useViewList, useViewText } from '../common/view-state.ts'
import { DataPreview } from './data-preview.tsx'
import {
  type Base,
  type Changes,
  makeDraft,
  type Preset,
  parseChanges,
  parseMethods,
  planRuns,
  presetBase,
  presetMethods,
  presets,
  runBase,
  withChange,
} from './draft.ts'
import { JsonEditor } from './json-editor.tsx'
import { planFromJson } from './json-plan.ts'
import { LaunchForm } from './launch-form.tsx'
import { LaunchSummary } from './launch-summary.tsx'
import { MethodCards } from './method-cards.tsx'
import { useMemoryOutlook } from './use-memory-outlook.ts'
import { parseVary, planSweep, variableSettings } from './vary.ts'
import { VaryPanel } from './vary-panel.tsx'

const presetLabels: Record<Preset, string> = {
  comparison: 'Compare LoRA, PiSSA, HD-PiSSA',
  blank: 'Defaults',
}

export function LaunchPage() {
  const [from] = useViewText('from', '')
  const { data: runs } = useRuns()
  const source = runs?.find((run) => run.runId === from)
  if (from !== '' && !runs) return <Loader m="xl" aria-label="Loading the run’s settings" />
  return <Launch key={from} source={source?.config ?? null} sourceName={source?.name ?? null} />
}

function Launch({ source, sourceName }: { source: RunConfig | null; sourceName: string | null }) {
  const [preset, setPreset] = useViewChoice('preset', presets, 'comparison')
  const [methodWords, setMethodWords] = useViewList('methods')
  const [changesText, setChangesText] = useViewText('set', '{}')
  const [all, setAll] = useViewFlag('all')
  const [more, setMore] = useViewFlag('more')
  const [shape, setShape] = useViewChoice('as', ['form', 'json'] as const, 'form')
  const [json, setJson] = useState<string | null>(null)
  const create = useCreateRuns()
  const createSweep = useCreateSweep()
  const navigate = useNavigate()
  const nodes = useNodes().data ?? []

  const base: Base = useMemo(() => (source ? runBase(source) : presetBase(preset)), [source, preset])
  const changes: Changes = useMemo(() => parseChanges(changesText), [changesText])
  const methods = useMemo(() => {
    const chosen = parseMethods(methodWords)
    if (chosen.length > 0 || methodWords.includes('none')) return chosen
    if (source) return [source.method.name]
    return parseMethods(presetMethods(preset))
  }, [methodWords, source, preset])
  const draft = useMemo(() => makeDraft(base, inMenuOrder(methods), changes), [base, methods, changes])
  const [group] = useState(defaultGroup)
  const [varyText, setVaryText] = useViewText('vary', '[]')
  const vary = useMemo(() => parseVary(varyText), [varyText])
  const settings = useMemo(() => variableSettings(draft), [draft])
  const sweep = useMemo(
    () => (vary.length > 0 && draft.methods.length > 0 ? planSweep(draft, vary, group) : null),
    [draft, vary, group],
  )
  const fromForm = useMemo(() => sweep ?? planRuns(draft, group), [sweep, draft, group])
  const formJson = useMemo(
    () => JSON.stringify(fromForm.configs.length === 1 ? fromForm.configs[0] : fromForm.configs, null, 2),
    [fromForm],
  )
  const fromJson = useMemo(() => (json === null ? null : planFromJson(json)), [json])
  const useJson = shape === 'json' && fromJson !== null
  const plan = useJson ? fromJson : fromForm

  const online = nodes.filter((node) => node.state === 'online')
  const memory = useMemoryOutlook(plan.configs, online)

  const { data: runs } = useRuns()
  const time = useMemo(
    () =>
      estimateTime(
        plan.configs.map((config) => ({ config, steps: plannedSteps(config)?.steps ?? null })),
        runs ?? [],
      ),
    [plan.configs, runs],
  )

  const change = (path: string, value: unknown) => {
    create.reset()
    createSweep.reset()
    setChangesText(JSON.stringify(withChange(base, changes, path, value)))
  }
  const choosePreset = (next: string) => {
    setPreset(next as typeof preset)
    setMethodWords([])
    setChangesText('{}')
  }
  const launch = async () => {
    if (sweep?.spec && !useJson) {
      const made = await createSweep.mutateAsync({ spec: sweep.spec, runs: sweep.runs })
      void navigate(`/sweeps/${made.sweepId}`)
      return
    }
    const created = await create.mutateAsync(plan.configs)
    const ids = created.map((run) => run.runId)
    void navigate(ids.length === 1 ? `/runs/${ids[0]}` : `/compare?runs=${ids.join(',')}`)
  }

  return (
    <Stack gap="md">
      <Group justify="space-between">
        <Title order={2}>Launch</Title>
        <SegmentedControl
          aria-label="Form or JSON"
          value={shape}
          onChange={setShape}
          data={[
            { value: 'form', label: 'Form' },
            { value: 'json', label: 'JSON' },
          ]}
        />
      </Group>
      <Grid gap="md">
        <Grid.Col span={{ base: 12, md: 8, xl: 9 }}>
          {shape === 'json' ? (
            <JsonEditor
              text={json ?? formJson}
              edited={json !== null}
              setText={setJson}
              reset={() => setJson(null)}
              problem={fromJson?.problem ?? null}
            />
          ) : (
            <Stack gap="md">
              <Group gap="sm">
                {source ? (
                  <Text size="sm">
                    Settings of <b>{sourceName}</b>
                  </Text>
                ) : (
                  <Select
                    aria-label="Start from"
                    value={preset}
                    onChange={(next) => next !== null && choosePreset(next)}
                    allowDeselect={false}
                    w={300}
                    data={presets.map((value) => ({ value, label: presetLabels[value] }))}
                  />
                )}
                <Switch
                  label="All settings"
                  checked={all}
                  onChange={(event) => setAll(event.currentTarget.checked)}
                />
                {Object.keys(changes).length > 0 ? (
                  <Button size="compact-sm" variant="subtle" onClick={() => setChangesText('{}')}>
                    Undo {Object.keys(changes).length}{' '}
                    {Object.keys(changes).length === 1 ? 'change' : 'changes'}
                  </Button>
                ) : null}
              </Group>
              <MethodCards
                chosen={methods}
                setChosen={(next) => setMethodWords(next.length === 0 ? ['none'] : next)}
                more={more}
                setMore={setMore}
              />
              {methods.length > 0 ? (
                <VaryPanel
                  vary={vary}
                  setVary={(rows) => setVaryText(JSON.stringify(rows))}
                  settings={settings}
                />
              ) : null}
              {methods.length > 0 ? (
                <LaunchForm
                  draft={draft}
                  changes={changes}
                  findings={fromForm.findings}
                  change={change}
                  all={all}
                />
              ) : null}
            </Stack>
          )}
          <Space h="md" />
          <DataPreview config={plan.configs[0] ?? null} />
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 4, xl: 3 }}>
          <div style={{ position: 'sticky', top: 68 }}>
            <LaunchSummary
              configs={plan.configs}
              findings={plan.findings}
              launch={() => void launch().catch(() => {})}
              launching={create.isPending || createSweep.isPending}
              error={create.error ?? createSweep.error}
              missing={methods.length === 0 && !useJson ? 'Choose at least one method.' : null}
              onlineNodes={online.length}
              memory={memory}
              isSweep={sweep !== null && !useJson}
              time={time}
            />
          </div>
        </Grid.Col>
      </Grid>
    </Stack>
  )
}

/** LoRA, PiSSA, HD-PiSSA, full, …: the order in which comparisons are read. */
function inMenuOrder(methods: readonly MethodName[]): MethodName[] {
  const order: readonly MethodName[] = ['lora', 'pissa', 'hd-pissa', 'full']
  const rest = methodNames.filter((name) => !order.includes(name))
  return [...order, ...rest].filter((name) => methods.includes(name))
}

/** A group for runs that are launched together, named by the minute. */
function defaultGroup(): string {
  const now = new Date()
  const two = (number: number) => String(number).padStart(2, '0')
  const day = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`
  return `comparison ${day} ${two(now.getHours())}:${two(now.getMinutes())}`
}
