/** The place of a drawing: a box that screen readers name, and what stands in it while there is nothing to see. */
import { Center, Loader, Text } from '@mantine/core'
import type { ReactNode, RefObject } from 'react'
import classes from './live-chart.module.css'

export type FrameStatus =
  | { state: 'loading' }
  | { state: 'failed'; message: string }
  | { state: 'drawn'; empty: string | null }

type Props = {
  frame: RefObject<HTMLDivElement | null>
  plot: RefObject<HTMLDivElement | null>
  label: string
  height: number | string
  status: FrameStatus
  children?: ReactNode
}

export function ChartFrame({ frame, plot, label, height, status, children }: Props) {
  const isEmpty = status.state === 'drawn' && status.empty !== null
  return (
    <div
      ref={frame}
      className={classes['frame']}
      style={{ height }}
      role="img"
      aria-label={isEmpty ? `${label}: ${status.empty}` : label}
      data-drawn={status.state === 'drawn' && !isEmpty}
    >
      <div ref={plot} className={classes['plot']} data-empty={isEmpty} />
      {status.state !== 'drawn' || isEmpty ? (
        <Center className={classes['overlay']}>
          {status.state === 'loading' ? (
            <Loader size="sm" aria-label="Loading the chart" />
          ) : (
            <Text c="dimmed" size="sm" ta="center" maw={320}>
              {status.state === 'failed' ? status.message : status.empty}
            </Text>
          )}
        </Center>
      ) : null}
      {children}
    </div>
  )
}
