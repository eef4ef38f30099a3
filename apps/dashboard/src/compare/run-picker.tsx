/** The compared runs: legend, eye, pin, remove; pointing at one highlights it in every chart. Adds others. */
import { Paper, Select } from '@mantine/core'
import { methodLabel, type RunView } from '@rankscope/protocol'
import { IconEye, IconEyeOff, IconPin, IconPinFilled, IconX } from '@tabler/icons-react'
import { memo, type ReactNode, useCallback, useRef } from 'react'
import { Link } from 'react-router'
import { highlightRun } from '../charts/highlight.ts'
import { useIsHighlighted } from '../charts/use-highlighted-run.ts'
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

export function RunPicker(props: Props) {
  const { runs, compared, hidden, pinned, setChosen } = props
  const ids = compared.map((run) => run.runId)
  const known = new Set(ids)
  const others = runs.filter((run) => !known.has(run.runId)).sort((a, b) => b.createdMs - a.createdMs)
  const latest = useRef(props)
  latest.current = props
  const act = useCallback((runId: string, what: 'hide' | 'pin' | 'remove') => {
    const now = latest.current
    if (what === 'hide') now.setHidden(toggled(now.hidden, runId))
    else if (what === 'pin') now.setPinned(toggled(now.pinned, runId))
    else now.setChosen(now.compared.flatMap((run) => (run.runId === runId ? [] : run.runId)))
  }, [])
  return (
    <Paper withBorder p="xs" component="section" aria-label="Compared runs" className={classes['picker']!}>
      <ul className={classes['list']}>
        {compared.map((run) => (
          <PickedRun
            key={run.runId}
            run={run}
            isHidden={hidden.includes(run.runId)}
            isPinned={pinned.includes(run.runId)}
            act={act}
          />
        ))}
      </ul>
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

type PickedProps = {
  run: RunView
  isHidden: boolean
  isPinned: boolean
  act: (runId: string, what: 'hide' | 'pin' | 'remove') => void
}

/** Plain elements: a hundred of them cost little, and pointing at one draws two of them anew. */
const PickedRun = memo(function PickedRun({ run, isHidden, isPinned, act }: PickedProps) {
  const { runId, name } = run
  const isHighlighted = useIsHighlighted(runId)
  return (
    <li
      className={classes['run']}
      data-strong={isHighlighted}
      data-hidden={isHidden}
      data-testid="compared-run"
      onMouseEnter={() => highlightRun(runId)}
      onMouseLeave={() => highlightRun(null)}
      onFocus={() => highlightRun(runId)}
      onBlur={() => highlightRun(null)}
    >
      <div className={classes['line']}>
        <RunSwatch runId={runId} />
        <Link to={`/runs/${runId}`} className={classes['name']} title={name}>
          {name}
        </Link>
        <Toggle label={isHidden ? `Show ${name}` : `Hide ${name}`} onClick={() => act(runId, 'hide')}>
          {isHidden ? <IconEyeOff size={14} /> : <IconEye size={14} />}
        </Toggle>
        <Toggle
          label={isPinned ? `Unpin ${name}` : `Pin ${name} to the top`}
          onClick={() => act(runId, 'pin')}
        >
          {isPinned ? <IconPinFilled size={14} /> : <IconPin size={14} />}
        </Toggle>
        <Toggle label={`Remove ${name}`} onClick={() => act(runId, 'remove')}>
          <IconX size={14} />
        </Toggle>
      </div>
      <div className={classes['line']}>
        <span className={classes['method']}>{methodLabel(run.config)}</span>
        <StateBadge run={run} plain />
      </div>
    </li>
  )
})

function Toggle({ label, onClick, children }: { label: string; onClick: () => void; children: ReactNode }) {
  return (
    <button type="button" className={classes['toggle']} aria-label={label} title={label} onClick={onClick}>
      {children}
    </button>
  )
}

function toggled(list: readonly string[], item: string): string[] {
  return list.includes(item) ? list.filter((other) => other !== item) : [...list, item]
}
