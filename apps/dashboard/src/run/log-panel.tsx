/** The run’s log: virtualised, filtered by level and text, following the newest line until one scrolls up. */
import {
  ActionIcon,
  Button,
  Group,
  Paper,
  SegmentedControl,
  Switch,
  Text,
  TextInput,
  Tooltip,
} from '@mantine/core'
import { IconDownload } from '@tabler/icons-react'
import { useVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useMemo, useRef } from 'react'
import { downloadText } from '../charts/download.ts'
import { Notice } from '../common/notice.tsx'
import { useViewChoice, useViewFlag, useViewText } from '../common/view-state.ts'
import { fetchOlderLogs } from '../live/hydrate.ts'
import { useTopicVersion } from '../live/live-context.tsx'
import type { LogLine, RunStore } from '../live/run-store.ts'
import { notifyError } from '../runs/run-commands.tsx'
import classes from './log-panel.module.css'

const levels = ['debug', 'info', 'warning', 'error'] as const

export function LogPanel({ store }: { store: RunStore }) {
  const stores = useMemo(() => [store], [store])
  const version = useTopicVersion(stores, 'logs')
  const [level, setLevel] = useViewChoice('log.level', levels, 'info')
  const [text, setText] = useViewText('log.text', '')
  const [follow, setFollow] = useViewFlag('log.follow', true)
  const scroller = useRef<HTMLDivElement>(null)

  // biome-ignore lint/correctness/useExhaustiveDependencies: `version` stands for the store’s contents
  const lines = useMemo(() => {
    const wanted = text.toLowerCase()
    return store.logs.filter(
      (line) =>
        levels.indexOf(line.level) >= levels.indexOf(level) && line.message.toLowerCase().includes(wanted),
    )
  }, [store, version, level, text])
  const virtualizer = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 20,
    overscan: 30,
    getItemKey: (index) => lines[index]!.cursor,
  })
  useEffect(() => {
    if (follow && lines.length > 0) virtualizer.scrollToIndex(lines.length - 1, { align: 'end' })
  }, [follow, lines, virtualizer])

  const older = async () => {
    setFollow(false)
    try {
      await fetchOlderLogs(store)
    } catch (error) {
      notifyError('Older lines could not be loaded', error)
    }
  }

  return (
    <>
      <Group gap="sm" mb="xs">
        <SegmentedControl
          size="xs"
          aria-label="Least level"
          value={level}
          onChange={setLevel}
          data={levels.map((value) => ({ value, label: value }))}
        />
        <TextInput
          size="xs"
          aria-label="Find in the log"
          placeholder="Find"
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
        <Switch
          size="xs"
          label="Follow"
          checked={follow}
          onChange={(event) => setFollow(event.currentTarget.checked)}
        />
        <Text size="xs" c="dimmed" className="numeric">
          {lines.length === 1 ? '1 line' : `${lines.length.toLocaleString('en-US')} lines`}
          {store.hasOlderLogs ? ` of the newest ${store.logs.length.toLocaleString('en-US')}` : ''}
        </Text>
        {store.hasOlderLogs ? (
          <Button size="compact-xs" variant="default" onClick={() => void older()}>
            Load older lines
          </Button>
        ) : null}
        <Tooltip label="Save the shown lines">
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label="Save the log"
            onClick={() => downloadText(lines.map(asText).join('\n'), `${store.runId}.log`, 'text/plain')}
          >
            <IconDownload size={16} />
          </ActionIcon>
        </Tooltip>
      </Group>
      {lines.length === 0 ? (
        <Notice
          title={store.logs.length === 0 ? 'No log yet' : 'No line matches'}
          text={
            store.logs.length === 0
              ? 'Lines appear here as the run writes them.'
              : 'Choose a lower level or another text.'
          }
        />
      ) : (
        <Paper
          withBorder
          ref={scroller}
          className={classes['scroller']}
          role="log"
          tabIndex={0}
          aria-label="Log"
          onWheel={(event) => event.deltaY < 0 && setFollow(false)}
        >
          <div style={{ height: virtualizer.getTotalSize(), position: 'relative' }}>
            {virtualizer.getVirtualItems().map((item) => {
              const line = lines[item.index]!
              return (
                <div
                  key={item.key}
                  ref={virtualizer.measureElement}
                  data-index={item.index}
                  className={classes['line']}
                  data-level={line.level}
                  style={{ transform: `translateY(${item.start}px)` }}
                >
                  <span className={classes['time']}>{clock(line.timeMs)}</span>
                  <span className={classes['level']}>{line.level}</span>
                  <span className={classes['message']}>{line.message}</span>
                </div>
              )
            })}
          </div>
        </Paper>
      )}
    </>
  )
}

function clock(timeMs: number): string {
  return new Date(timeMs).toLocaleTimeString('en-GB')
}

function asText(line: LogLine): string {
  return `${new Date(line.timeMs).toISOString()} ${line.level} ${line.message}`
}
