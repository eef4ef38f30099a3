/**
 * The series of one run that a page has asked for: being fetched, or here and followed live. Live points of series that
 * nobody asked for are passed over; their history has them when somebody does.
 */
import type { RecordBodyOf, StoredRecord } from '@rankscope/protocol'
import { Series, type SeriesPoints } from './series.ts'

type Point = { cursor: number; step: number; timeMs: number; value: number }
type Wanted = { points: number; times: boolean }
type State =
  /** Points that arrive while the history is under way wait here; what was here before stays to be seen. */
  | { state: 'loading'; waiting: Point[]; before: Extract<State, { state: 'ready' }> | null }
  | { state: 'ready'; complete: number; wanted: Wanted }

export class SeriesShelf {
  readonly series = new Map<string, Series>()
  readonly #states = new Map<string, State>()

  /** Whether the series is here, or on its way, as finely as wanted. */
  has(name: string, wanted: Wanted): boolean {
    const state = this.#states.get(name)
    if (!state || state.state === 'loading') return state !== undefined
    const series = this.series.get(name)
    if (!series) return true
    const isFine = series.total <= series.length || 2 * state.wanted.points >= wanted.points
    return isFine && (state.wanted.times || !wanted.times)
  }

  isReady(name: string): boolean {
    const state = this.#states.get(name)
    return state?.state === 'ready' || (state?.state === 'loading' && state.before !== null)
  }

  begin(name: string): void {
    const state = this.#states.get(name)
    if (state?.state === 'loading') return
    this.#states.set(name, { state: 'loading', waiting: [], before: state ?? null })
  }

  /** Fetching failed: what was here before goes on with the points that waited. */
  abandon(name: string): void {
    const state = this.#states.get(name)
    if (state?.state !== 'loading') return
    if (state.before === null) this.#states.delete(name)
    else {
      this.#states.set(name, state.before)
      this.#append(name, state.before.complete, state.waiting)
    }
  }

  finish(name: string, cursor: number, points: SeriesPoints | null, wanted: Wanted): void {
    const state = this.#states.get(name)
    this.#states.set(name, { state: 'ready', complete: cursor, wanted })
    if (points) this.#seriesOf(name).load(points)
    if (state?.state === 'loading') this.#append(name, cursor, state.waiting)
  }

  /** Up to where the histories that are here are complete. */
  complete(): number[] {
    return [...this.#states.values()].flatMap((state) => (state.state === 'ready' ? state.complete : []))
  }

  /** Take a live record; false where it tells of no series that is here. */
  apply({ cursor, timeMs }: StoredRecord, { step, values }: RecordBodyOf<'scalars'>): boolean {
    let isNews = false
    for (const [name, value] of Object.entries(values)) {
      const state = this.#states.get(name)
      const point = { cursor, step, timeMs, value }
      if (state?.state === 'loading') state.waiting.push(point)
      else if (state && cursor > state.complete) {
        this.#append(name, state.complete, [point])
        isNews = true
      }
    }
    return isNews
  }

  #append(name: string, complete: number, points: readonly Point[]): void {
    for (const { cursor, step, timeMs, value } of points)
      if (cursor > complete) this.#seriesOf(name).append(step, timeMs, value)
  }

  #seriesOf(name: string): Series {
    const known = this.series.get(name)
    if (known) return known
    const created = new Series()
    this.series.set(name, created)
    return created
  }
}
