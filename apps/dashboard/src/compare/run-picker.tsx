/** The compared runs: legend, eye, pin, remove; pointing at one highlights it in every chart. Adds others. */
import { ActionIcon, Anchor, Group, Paper, Select, Stack, Text, Tooltip } from '@mantine/core'
import { methodLabel, type RunView } from '@rankscope/protocol'
import { IconEye, IconEyeOff, IconPin, IconPinFilled, IconX } from '@tabler/icons-react'
import { Link } from 'react-router'
import { highlightRun } from '../charts/highlight.ts'
import { useHighlightedRun } from '../charts/use-highlighted-run.ts'
import { RunSwatch } from '../runs/run-swatch.tsx'
import { StateBadge } from '../runs/state-badge.tsx'
import classes from './run-picker.module.css'

type Props = {
  runs: readonly RunView[]
  compared: readonly RunView[]
  hidden: readonly string[]
  pinned: readonly string[]
  setChosen: (runIds: string[]) => void
  setHidden: (runIds: string[]) => void
  setPinned: (runIds: string[]) => void
}

export function RunPicker({ runs, compared, hidden, pinned, setChosen, setHidden, setPinned }: Props) {
  const highlighted = useHighlightedRun()
  const ids = compared.map((run) => run.runId)
  const others = runs.filter((run) => !ids.includes(run.runId)).sort((a, b) => b.createdMs - a.createdMs)
  return (
    <Paper withBorder p="xs" component="section" aria-label="Compared runs" className={classes['picker']!}>
      <Stack gap={2} component="ul" p={0} m={0}>
        {compared.map((run) => {
          const isHidden = hidden.includes(run.runId)
          const isPinned = pinned.includes(run.runId)
          return (
            <li
              key={run.runId}
              className={classes['run']}
              data-strong={highlighted === run.runId}
              data-hidden={isHidden}
              data-testid="compared-run"
              onMouseEnter={() => highlightRun(run.runId)}
              onMouseLeave={() => highlightRun(null)}
              onFocus={() => highlightRun(run.runId)}
              onBlur={() => highlightRun(null)}
            >
              <Group gap={6} wrap="nowrap">
                <RunSwatch runId={run.runId} />
                <Anchor
                  component={Link}
                  to={`/runs/${run.runId}`}
                  size="sm"
                  fw={500}
                  truncate
                  flex={1}
                  title={run.name}
                >
                  {run.name}
                </Anchor>
                <Toggle
                  label={isHidden ? `Show ${run.name}` : `Hide ${run.name}`}
                  icon={isHidden ? <IconEyeOff size={14} /> : <IconEye size={14} />}
                  onClick={() => setHidden(toggled(hidden, run.runId))}
                />
                <Toggle
                  label={isPinned ? `Unpin ${run.name}` : `Pin ${run.name} to the top`}
                  icon={isPinned ? <IconPinFilled size={14} /> : <IconPin size={14} />}
                  onClick={() => setPinned(toggled(pinned, run.runId))}
                />
                <Toggle
                  label={`Remove ${run.name}`}
                  icon={<IconX size={14} />}
                  onClick={() => setChosen(ids.filter((id) => id !== run.runId))}
                />
              </Group>
              <Group gap={6} pl={16} wrap="nowrap">
                <Text size="xs" c="dimmed" truncate flex={1}>
                  {methodLabel(run.config)}
                </Text>
                <StateBadge run={run} />
              </Group>
            </li>
          )
        })}
      </Stack>
      <Select
        mt="xs"
        size="xs"
        searchable
        aria-label="Add a run"
        placeholder={others.length === 0 ? 'All runs are here' : 'Add a run …'}
        disabled={others.length === 0}
        value={null}
        limit={50}
        onChange={(runId) => runId !== null && setChosen([...ids, runId])}
        data={others.map((run) => ({ value: run.runId, label: run.name }))}
      />
    </Paper>
  )
}

function Toggle({ label, icon, onClick }: { label: string; icon: React.ReactNode; onClick: () => void }) {
  return (
    <Tooltip label={label}>
      <ActionIcon size="xs" variant="subtle" color="gray" aria-label={label} onClick={onClick}>
        {icon}
      </ActionIcon>
    </Tooltip>
  )
}

function toggled(list: readonly string[], item: string): string[] {
  return list.includes(item) ? list.filter((other) => other !== item) : [...list, item]
}
