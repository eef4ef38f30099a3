/** A chart in its frame: title, help, its own controls, axis toggles, export, enlarge, and “N of M points”. */
import { ActionIcon, Group, Menu, Paper, Text, Tooltip } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import {
  IconArrowsMaximize,
  IconArrowsMinimize,
  IconDotsVertical,
  IconDownload,
  IconHelpCircle,
} from '@tabler/icons-react'
import { type ReactNode, useCallback, useEffect, useRef, useState } from 'react'
import type { RunStore, Topic } from '../live/run-store.ts'
import { captionOf } from './caption.ts'
import classes from './chart-card.module.css'
import { downloadCsv, downloadImage, type ImageFormat } from './download.ts'
import type { Figure, LineFigure, PlotlyFigure } from './figure.ts'
import { LineChart } from './line-chart.tsx'
import { LiveChart } from './live-chart.tsx'
import { asPicture } from './picture.ts'
import { useChartTheme } from './use-chart-theme.ts'
import type { Size } from './use-drawable.ts'
import type { View } from './zoom.ts'

export type AxisToggle = { label: string; value: boolean; set: (value: boolean) => void }

type Props = {
  title: string
  help?: ReactNode
  /** What is drawn, and so by what: lines on a canvas, everything else by plotly. */
  chart:
    | { kind: 'lines'; build: (size: Size) => LineFigure; onZoom?: (view: View | null) => void }
    | { kind: 'plotly'; build: (size: Size) => PlotlyFigure }
  stores: readonly RunStore[]
  /** What of the stores it shows, a constant; left out: everything. */
  topics?: readonly Topic[]
  /** Menu entries that are on or off, such as logarithmic axes. */
  toggles?: readonly AxisToggle[]
  controls?: ReactNode
  footer?: ReactNode
  height?: number
  primary?: boolean
  onDrawn?: (figure: Figure) => void
  onPick?: (x: number) => void
  onSeen?: () => void
  /** How much of what it shows is here, e.g. “3 of 4 runs loaded”; nothing once all is. */
  loadedNote?: string | null
  /** For the caption of a saved picture: which module, which step, of how many. */
  facts?: readonly string[]
}

export function ChartCard(props: Props) {
  const { title, help, chart, stores, toggles = [], controls, footer, height = 250, facts } = props
  const theme = useChartTheme()
  const figure = useRef<Figure | null>(null)
  const [counted, setCounted] = useState('')
  const [notes, setNotes] = useState('')
  const [large, setLarge] = useState(false)
  const onDrawn = props.onDrawn
  const drawn = useCallback(
    (next: Figure) => {
      figure.current = next
      setNotes((next.notes ?? []).join('; '))
      setCounted(
        next.drawnPoints < next.totalPoints || next.zoomed
          ? `${next.drawnPoints.toLocaleString('en-US')} of ${next.totalPoints.toLocaleString('en-US')} points${next.zoomed ? ' in view' : ''}`
          : '',
      )
      onDrawn?.(next)
    },
    [onDrawn],
  )
  useEffect(() => {
    if (!large) return
    const leave = (event: KeyboardEvent) => event.key === 'Escape' && setLarge(false)
    window.addEventListener('keydown', leave)
    return () => window.removeEventListener('keydown', leave)
  }, [large])

  const saveImage = (format: ImageFormat) => {
    if (!figure.current) return
    const picture = figure.current.kind === 'lines' ? asPicture(figure.current, theme) : figure.current
    const caption = captionOf(title, figure.current, facts)
    downloadImage(picture, { title, caption, format, theme }).catch((error: unknown) =>
      notifications.show({ color: 'red', title: 'The picture could not be made', message: String(error) }),
    )
  }

  const shared = {
    stores,
    label: `Chart: ${title}`,
    height: large ? 'auto' : height,
    primary: props.primary ?? false,
    topics: props.topics,
    onDrawn: drawn,
    ...(props.onPick ? { onPick: props.onPick } : {}),
    ...(props.onSeen ? { onSeen: props.onSeen } : {}),
  }
  return (
    <Paper withBorder className={classes['card']} data-large={large} component="section" aria-label={title}>
      <Group gap={6} wrap="nowrap" className={classes['head']}>
        <Text fw={600} size="sm" truncate>
          {title}
        </Text>
        {help ? (
          <Tooltip
            label={help}
            multiline
            maw={340}
            withArrow
            events={{ hover: true, focus: true, touch: true }}
          >
            <ActionIcon variant="subtle" color="gray" size="sm" aria-label={`About ${title}`}>
              <IconHelpCircle size={15} />
            </ActionIcon>
          </Tooltip>
        ) : null}
        <Text size="xs" c="dimmed" ml="auto" className={classes['note']} title="Every extreme is kept">
          {[props.loadedNote, counted].filter(Boolean).join(', ')}
        </Text>
        <ActionIcon
          variant="subtle"
          color="gray"
          size="sm"
          aria-label={large ? `Make ${title} small again` : `Enlarge ${title}`}
          onClick={() => setLarge(!large)}
        >
          {large ? <IconArrowsMinimize size={15} /> : <IconArrowsMaximize size={15} />}
        </ActionIcon>
        <Menu position="bottom-end" withinPortal closeOnItemClick={false}>
          <Menu.Target>
            <ActionIcon variant="subtle" color="gray" size="sm" aria-label={`Options of ${title}`}>
              <IconDotsVertical size={15} />
            </ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            {toggles.map((toggle) => (
              <Menu.CheckboxItem
                key={toggle.label}
                checked={toggle.value}
                onChange={() => toggle.set(!toggle.value)}
              >
                {toggle.label}
              </Menu.CheckboxItem>
            ))}
            {toggles.length > 0 ? <Menu.Divider /> : null}
            {(['png', 'svg'] as const).map((format) => (
              <Menu.Item
                key={format}
                leftSection={<IconDownload size={14} />}
                closeMenuOnClick
                onClick={() => saveImage(format)}
              >
                Save as {format.toUpperCase()}
              </Menu.Item>
            ))}
            <Menu.Item
              leftSection={<IconDownload size={14} />}
              closeMenuOnClick
              onClick={() => figure.current && downloadCsv(figure.current, title)}
            >
              Save as CSV
            </Menu.Item>
          </Menu.Dropdown>
        </Menu>
      </Group>
      {controls ? <div className={classes['controls']}>{controls}</div> : null}
      {chart.kind === 'lines' ? (
        <LineChart {...shared} build={chart.build} {...(chart.onZoom ? { onZoom: chart.onZoom } : {})} />
      ) : (
        <LiveChart {...shared} build={chart.build} />
      )}
      {notes === '' ? null : (
        <Text size="xs" c="dimmed" className={classes['notes']!} data-testid="chart-notes">
          {notes}
        </Text>
      )}
      {footer ? <div className={classes['footer']}>{footer}</div> : null}
    </Paper>
  )
}
