/** Commands for one run or several: only those that the states accept; deleting asks first. */
import { ActionIcon, Button, Group, Menu, Modal, Text, Tooltip } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import {
  acceptedCommands,
  isActive,
  RankscopeError,
  type RunCommand,
  type RunView,
} from '@rankscope/protocol'
import {
  IconDeviceFloppy,
  type IconDots,
  IconPlayerPause,
  IconPlayerPlay,
  IconPlayerStop,
  IconRefresh,
  IconTrash,
} from '@tabler/icons-react'
import { useState } from 'react'
import { deleteRun, sendCommand } from '../api/queries.ts'

const commandTexts: Record<RunCommand, { label: string; icon: typeof IconDots }> = {
  stop: { label: 'Stop', icon: IconPlayerStop },
  pause: { label: 'Pause', icon: IconPlayerPause },
  resume: { label: 'Resume', icon: IconPlayerPlay },
  checkpoint: { label: 'Checkpoint', icon: IconDeviceFloppy },
  retry: { label: 'Retry', icon: IconRefresh },
}

/** Say what the server refused, with its hint. */
export function notifyError(title: string, error: unknown): void {
  const hint = error instanceof RankscopeError && error.hint ? ` Try: ${error.hint}.` : ''
  const message = error instanceof Error ? error.message : String(error)
  notifications.show({ color: 'red', title, message: `${message}${hint}`, autoClose: 10_000 })
}

async function forEachRun(runs: readonly RunView[], title: string, act: (run: RunView) => Promise<void>) {
  const results = await Promise.allSettled(runs.map(act))
  for (const result of results) if (result.status === 'rejected') notifyError(title, result.reason)
  return results.some((result) => result.status === 'fulfilled')
}

/** Commands that at least one of the runs accepts. */
function useCommands(runs: readonly RunView[], onDeleted?: () => void) {
  const [asking, setAsking] = useState(false)
  const [busy, setBusy] = useState(false)
  const commands = (Object.keys(commandTexts) as RunCommand[]).filter((command) =>
    runs.some((run) => acceptedCommands(run.state).includes(command)),
  )
  const send = async (command: RunCommand) => {
    setBusy(true)
    const { label } = commandTexts[command]
    await forEachRun(
      runs.filter((run) => acceptedCommands(run.state).includes(command)),
      `${label} was refused`,
      (run) => sendCommand(run.runId, command),
    )
    setBusy(false)
  }
  const remove = async () => {
    setBusy(true)
    const some = await forEachRun(runs, 'The run could not be deleted', (run) => deleteRun(run.runId))
    setBusy(false)
    setAsking(false)
    if (some) onDeleted?.()
  }
  const active = runs.some((run) => isActive(run.state))
  const name = runs.length === 1 ? runs[0]!.name : `${runs.length} runs`
  const dialog = (
    <Modal opened={asking} onClose={() => setAsking(false)} title={`Delete ${name}?`} centered>
      <Text size="sm" mb="md">
        Records, spectra and logs go for good.
        {active ? ' Stop what is still training first.' : ''}
      </Text>
      <Group justify="flex-end">
        <Button variant="default" onClick={() => setAsking(false)} data-autofocus>
          Keep
        </Button>
        <Button color="red" loading={busy} disabled={active} onClick={() => void remove()}>
          Delete
        </Button>
      </Group>
    </Modal>
  )
  return { commands, send, busy, ask: () => setAsking(true), dialog, asking }
}

/** Buttons, for a page’s header or a selection. */
export function RunCommandButtons({ runs, onDeleted }: { runs: readonly RunView[]; onDeleted?: () => void }) {
  const { commands, send, busy, ask, dialog } = useCommands(runs, onDeleted)
  return (
    <Group gap={6}>
      {commands.map((command) => {
        const { label, icon: Icon } = commandTexts[command]
        return (
          <Button
            key={command}
            size="compact-sm"
            variant="default"
            disabled={busy}
            leftSection={<Icon size={14} />}
            onClick={() => void send(command)}
          >
            {label}
          </Button>
        )
      })}
      <Tooltip label="Delete">
        <ActionIcon variant="default" size={26} onClick={ask} aria-label="Delete" disabled={busy}>
          <IconTrash size={14} />
        </ActionIcon>
      </Tooltip>
      {dialog}
    </Group>
  )
}

/** The one menu of the list, opened at the button of a row. */
export function RunCommandMenu(props: { run: RunView; target: HTMLElement; close: () => void }) {
  const { run, target, close } = props
  const { commands, send, ask, dialog, asking } = useCommands([run])
  const { left, bottom } = target.getBoundingClientRect()
  const shut = () => {
    target.focus()
    close()
  }
  return (
    <>
      <Menu opened={!asking} onClose={() => !asking && shut()} position="bottom-end" withinPortal>
        <Menu.Target>
          <span style={{ position: 'fixed', left: left + 26, top: bottom, width: 1, height: 1 }} />
        </Menu.Target>
        <Menu.Dropdown>
          {commands.map((command) => {
            const { label, icon: Icon } = commandTexts[command]
            return (
              <Menu.Item key={command} leftSection={<Icon size={14} />} onClick={() => void send(command)}>
                {label}
              </Menu.Item>
            )
          })}
          {commands.length > 0 ? <Menu.Divider /> : null}
          <Menu.Item color="red" leftSection={<IconTrash size={14} />} closeMenuOnClick={false} onClick={ask}>
            Delete …
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {dialog}
    </>
  )
}
