/** What can be done with a sweep as a whole. */
import { Alert, Button, Group, Menu, Modal, Stack, Text, TextInput } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { notifications } from '@mantine/notifications'
import { addedRuns, axisText, parseAxisText, type RunResult, runsTable, toCsv } from '@rankscope/experiments'
import {
  RankscopeError,
  type RunView,
  type SweepCommand,
  type SweepPoint,
  type SweepView,
} from '@rankscope/protocol'
import { IconDots } from '@tabler/icons-react'
import { useMemo, useState } from 'react'
import { useNavigate } from 'react-router'
import { basePath } from '../api/base-path.ts'
import { newRequestId, useSweepCommands } from '../api/sweeps.ts'
import { downloadText } from '../charts/download.ts'

type Props = {
  sweep: SweepView
  members: readonly { run: RunView; point: SweepPoint }[]
  results: readonly RunResult[]
}

export function SweepCommands({ sweep, members, results }: Props) {
  const { command, extend, remove } = useSweepCommands(sweep.sweepId)
  const [isAdding, adding] = useDisclosure(false)
  const navigate = useNavigate()
  const states = new Set(members.map(({ run }) => run.state))
  const isOver = [...states].every((state) => ['finished', 'failed', 'stopped'].includes(state))
  const hasLost = states.has('failed') || states.has('stopped')
  const run = (word: SweepCommand) =>
    command.mutateAsync(word).catch((error: unknown) =>
      notifications.show({
        color: 'red',
        title: 'The sweep could not be commanded',
        message: error instanceof Error ? error.message : String(error),
      }),
    )
  const button = (word: SweepCommand, label: string) => (
    <Button
      key={word}
      size="xs"
      variant="default"
      loading={command.isPending && command.variables === word}
      onClick={() => void run(word)}
    >
      {label}
    </Button>
  )
  return (
    <>
      <Group gap="xs">
        {sweep.state === 'active' && !isOver ? button('pause', 'Pause') : null}
        {sweep.state === 'paused' ? button('resume', 'Resume') : null}
        {sweep.state !== 'stopped' && !isOver ? button('stop', 'Stop') : null}
        {hasLost ? button('retry-failed', 'Run failed ones again') : null}
        <Button size="xs" variant="default" onClick={adding.open}>
          Add values
        </Button>
        <Menu position="bottom-end">
          <Menu.Target>
            <Button size="xs" variant="default" px={8} aria-label="More for this sweep">
              <IconDots size={16} />
            </Button>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Item
              onClick={() =>
                downloadText(toCsv(runsTable(sweep.spec, results)), 'sweep-runs.csv', 'text/csv')
              }
            >
              Save all runs as CSV
            </Menu.Item>
            <Menu.Item component="a" href={`${basePath}api/sweeps/${sweep.sweepId}/archive`} download>
              Save everything as a zip
            </Menu.Item>
            <Menu.Item onClick={() => downloadText(JSON.stringify(sweep.spec, null, 2), 'sweep.json')}>
              Save as a file for npm run train -- --sweep
            </Menu.Item>
            <Menu.Divider />
            <Menu.Item color="red" onClick={() => void remove.mutateAsync().then(() => navigate('/sweeps'))}>
              Forget the sweep, keep its runs
            </Menu.Item>
          </Menu.Dropdown>
        </Menu>
      </Group>
      <Modal opened={isAdding} onClose={adding.close} title="Add values" size="lg">
        {isAdding ? (
          <AddValues
            sweep={sweep}
            extend={extend.mutateAsync}
            isPending={extend.isPending}
            close={adding.close}
          />
        ) : null}
      </Modal>
    </>
  )
}

type AddProps = {
  sweep: SweepView
  extend: ReturnType<typeof useSweepCommands>['extend']['mutateAsync']
  isPending: boolean
  close: () => void
}

function AddValues({ sweep, extend, isPending, close }: AddProps) {
  const { axes } = sweep.spec
  const [texts, setTexts] = useState(() => axes.map(({ values }) => axisText(values)))
  const [failure, setFailure] = useState<string | null>(null)
  // The same request, however often it is sent.
  const [requestId] = useState(newRequestId)
  const plan = useMemo(() => {
    try {
      const longer = axes.map(({ path, values }, index) => {
        const read = parseAxisText(texts[index]!)
        const known = new Set(values.map((value) => JSON.stringify(value)))
        // Values are added, never taken away: runs of the others exist.
        return { path, values: [...values, ...read.filter((value) => !known.has(JSON.stringify(value)))] }
      })
      const runs = addedRuns(
        { ...sweep.spec, sample: null, axes: longer },
        sweep.runs.map(({ point }) => point),
      )
      return { axes: longer, runs, problem: null }
    } catch (error) {
      if (!(error instanceof RankscopeError)) throw error
      return { axes: [...axes], runs: [], problem: error.message }
    }
  }, [axes, texts, sweep])
  const send = () =>
    extend({ requestId, axes: plan.axes, runs: plan.runs }).then(close, (error: unknown) =>
      setFailure(error instanceof Error ? error.message : String(error)),
    )
  return (
    <Stack gap="sm">
      <Text size="sm" c="dimmed">
        Write further values behind those that the sweep has; their runs are queued behind the others.
      </Text>
      {axes.map(({ path }, index) => (
        <TextInput
          key={path}
          label={path}
          value={texts[index]!}
          onChange={(event) => {
            const text = event.currentTarget.value
            setTexts((before) => before.map((other, position) => (position === index ? text : other)))
          }}
        />
      ))}
      {(plan.problem ?? failure) ? <Alert color="red">{plan.problem ?? failure}</Alert> : null}
      <Button disabled={plan.runs.length === 0} loading={isPending} onClick={() => void send()}>
        {plan.runs.length === 0
          ? 'Nothing to add'
          : `Launch ${plan.runs.length} more ${plan.runs.length === 1 ? 'run' : 'runs'}`}
      </Button>
    </Stack>
  )
}
