/**
 * A chart that draws itself outside React: a store’s change asks the scheduler, the scheduler calls `draw` with the
 * size of the frame, and only while the chart can be seen.
 */
import { type RefObject, useEffect, useRef } from 'react'
import type { RunStore, Topic } from '../live/run-store.ts'
import { type Drawable, drawScheduler } from './draw-scheduler.ts'

export type Size = { width: number; height: number }

/** What draws; made when the frame is mounted. */
export type Painter = {
  /** Draw now; false: not yet possible, ask again. */
  draw: (size: Size) => boolean
  dispose: () => void
}

type Options = {
  frame: RefObject<HTMLElement | null>
  stores: readonly RunStore[]
  /** What of the stores it shows: other changes do not draw it anew. A constant; undefined: everything. */
  topics?: readonly Topic[] | undefined
  primary: boolean
  /** Called once per mount; `redraw` asks for another drawing soon. */
  mount: (redraw: () => void) => Painter
  /** Called when the chart comes into sight, or near it. */
  onSeen?: (() => void) | undefined
  /** Redrawn at once when any of these changes. */
  inputs: readonly unknown[]
}

export function useDrawable({ frame, stores, topics, primary, mount, onSeen, inputs }: Options): void {
  const drawable = useRef<Drawable | null>(null)
  const latestMount = useRef(mount)
  const latestSeen = useRef(onSeen)
  useEffect(() => {
    latestSeen.current = onSeen
  })

  useEffect(() => {
    const container = frame.current!
    let visible = false
    let size: Size = { width: 0, height: 0 }
    const painter = latestMount.current(() => drawScheduler.request(self, true))
    const self: Drawable = {
      draw: () => {
        if (size.width >= 40 && !painter.draw(size)) drawScheduler.request(self)
      },
      isVisible: () => visible,
      primary,
    }
    drawable.current = self
    const intersection = new IntersectionObserver(
      ([entry]) => {
        visible = entry?.isIntersecting ?? false
        if (!visible) return
        drawScheduler.request(self, true)
        latestSeen.current?.()
      },
      { rootMargin: '120px' },
    )
    const resize = new ResizeObserver(([entry]) => {
      if (!entry) return
      size = { width: Math.floor(entry.contentRect.width), height: Math.floor(entry.contentRect.height) }
      drawScheduler.request(self, true)
    })
    intersection.observe(container)
    resize.observe(container)
    return () => {
      drawable.current = null
      intersection.disconnect()
      resize.disconnect()
      drawScheduler.forget(self)
      painter.dispose()
    }
  }, [frame, primary])

  useEffect(() => {
    if (drawable.current) drawScheduler.request(drawable.current, true)
  }, [...inputs])

  useEffect(() => {
    const stops = stores.map((store) => {
      const version = () => topics?.reduce((sum, topic) => sum + store.version(topic), 0)
      let drawn = version()
      return store.subscribe(() => {
        const now = version()
        if (now !== undefined && now === drawn) return
        drawn = now
        if (drawable.current) drawScheduler.request(drawable.current)
      })
    })
    return () => {
      for (const stop of stops) stop()
    }
  }, [stores, topics])
}
