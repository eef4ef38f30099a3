/** Tags of several runs at once: add, remove, archive; each change can be taken back. */
import { Button, Group, Popover, TagsInput } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import type { RunView } from '@rankscope/protocol'
import { IconArchive, IconTag } from '@tabler/icons-react'
import { useState } from 'react'
import { updateRun } from '../api/queries.ts'
import { notifyError } from './run-commands.tsx'

/** Runs with this tag are left out of the list unless it asks for them. */
export const archivedTag = 'archived'

export function isArchived(run: RunView): boolean {
  return run.config.tags.includes(archivedTag)
}

type TagsOf = (run: RunView) => string[]

/** Give each run its new tags; a notice offers to give them the old ones again. */
async function changeTags(runs: readonly RunView[], title: string, tagsOf: TagsOf): Promise<void> {
  const changed = runs.filter((run) => tagsOf(run).join('\n') !== run.config.tags.join('\n'))
  const results = await Promise.allSettled(changed.map((run) => updateRun(run.runId, { tags: tagsOf(run) })))
  for (const result of results)
    if (result.status === 'rejected') notifyError('The tags could not be changed', result.reason)
  const done = changed.filter((_, index) => results[index]!.status === 'fulfilled')
  if (done.length === 0) return
  const before = new Map(done.map((run) => [run.runId, run.config.tags]))
  const id = notifications.show({
    title: `${title}: ${done.length === 1 ? done[0]!.name : `${done.length} runs`}`,
    autoClose: 10_000,
    message: (
      <Button
        size="compact-sm"
        variant="light"
        onClick={() => {
          notifications.hide(id)
          void Promise.allSettled(done.map((run) => updateRun(run.runId, { tags: before.get(run.runId)! })))
        }}
      >
        Undo
      </Button>
    ),
  })
}

export function TagActions({ runs }: { runs: readonly RunView[] }) {
  const common = runs[0]!.config.tags.filter((tag) => runs.every((run) => run.config.tags.includes(tag)))
  const [tags, setTags] = useState<string[] | null>(null)
  const allArchived = runs.every(isArchived)
  const apply = () => {
    if (tags === null) return
    const removed = common.filter((tag) => !tags.includes(tag))
    const merged: TagsOf = (run) => [
      ...new Set([...run.config.tags.filter((tag) => !removed.includes(tag)), ...tags]),
    ]
    void changeTags(runs, 'Tagged', merged)
    setTags(null)
  }
  return (
    <Group gap={6}>
      <Popover
        opened={tags !== null}
        onChange={(opened) => !opened && setTags(null)}
        position="bottom-start"
        width={300}
        trapFocus
      >
        <Popover.Target>
          <Button
            size="compact-sm"
            variant="default"
            leftSection={<IconTag size={14} />}
            onClick={() => setTags(tags === null ? common : null)}
          >
            Tags
          </Button>
        </Popover.Target>
        <Popover.Dropdown>
          <TagsInput
            label={runs.length === 1 ? 'Tags' : 'Tags that all of them have'}
            value={tags ?? []}
            onChange={setTags}
            comboboxProps={{ withinPortal: false }}
            data-autofocus
          />
          <Group justify="flex-end" mt="xs">
            <Button size="compact-sm" onClick={apply}>
              Apply
            </Button>
          </Group>
        </Popover.Dropdown>
      </Popover>
      <Button
        size="compact-sm"
        variant="default"
        leftSection={<IconArchive size={14} />}
        onClick={() =>
          void changeTags(runs, allArchived ? 'Back from the archive' : 'Archived', (run) =>
            allArchived
              ? run.config.tags.filter((tag) => tag !== archivedTag)
              : [...new Set([...run.config.tags, archivedTag])],
          )
        }
      >
        {allArchived ? 'Unarchive' : 'Archive'}
      </Button>
    </Group>
  )
}
