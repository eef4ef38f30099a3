/** Everything by name: pages, runs, commands; opened by Ctrl or ⌘ and K. */
import { Spotlight, type SpotlightActionData } from '@mantine/spotlight'
import '@mantine/spotlight/styles.css'
import { methodLabel } from '@rankscope/protocol'
import { useMemo } from 'react'
import { useNavigate } from 'react-router'
import { useRuns } from '../api/queries.ts'
import { useListedShortcuts } from './shortcuts.ts'

type Props = { pages: readonly { to: string; label: string }[] }

/** Newest runs offered; the others are found in the list. */
const mostRuns = 2000

export function CommandPalette({ pages }: Props) {
  const { data: runs } = useRuns()
  const navigate = useNavigate()
  const shortcuts = useListedShortcuts()
  const actions = useMemo(
    (): SpotlightActionData[] => [
      ...pages.map(({ to, label }) => ({
        id: to,
        label,
        description: 'Page',
        onClick: () => void navigate(to),
      })),
      ...shortcuts
        .filter(({ group }) => group !== 'Go to')
        .map(({ keys, label, group, run }) => ({
          id: `key ${keys} ${label}`,
          label,
          description: `${group}, key ${keys === ' ' ? 'Space' : keys}`,
          onClick: run,
        })),
      ...(runs ?? [])
        .slice(-mostRuns)
        .reverse()
        .map((run) => ({
          id: run.runId,
          label: run.name,
          description: `${methodLabel(run.config)}, ${run.state}`,
          keywords: [run.config.group ?? '', ...run.config.tags],
          onClick: () => void navigate(`/runs/${run.runId}`),
        })),
    ],
    [pages, shortcuts, runs, navigate],
  )
  return (
    <Spotlight
      actions={actions}
      limit={12}
      scrollable
      maxHeight={420}
      nothingFound="Nothing of that name"
      searchProps={{ placeholder: 'Page, run or command', 'aria-label': 'Page, run or command' }}
    />
  )
}
