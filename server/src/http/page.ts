/**
 * Pages of lists. A cursor names the last item of the page before by its time and id, so that one that was removed
 * meanwhile leaves no gap, and starts no list anew.
 */
import { z } from 'zod'

export type Place = { timeMs: number; id: string }
export type Page<T> = { items: T[]; next: string | null; total: number }

export const cursorSchema = z.string().max(120).optional().describe('`next` of the page before.')

export function pageLimit(most: number) {
  return z.coerce.number().int().min(1).max(most).default(most).describe('At most so many.')
}

/**
 * `list` ascends by time; the page begins at its newest end. Of items that weigh anything it holds no more than `most`
 * together, but at least one.
 */
export function newestFirst<T>(
  list: readonly T[],
  placeOf: (item: T) => Place,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
  weight: { of: (item: T) => number; most: number } = { of: () => 0, most: 0 },
): Page<T> {
  const end = cursor === undefined ? list.length : endBehind(list, placeOf, cursor)
  const items: T[] = []
  let weighs = 0
  for (let index = end - 1; index >= 0 && items.length < limit; index--) {
    weighs += weight.of(list[index]!)
    if (items.length > 0 && weighs > weight.most) break
    items.push(list[index]!)
  }
  const last = items.at(-1)
  const isMore = last !== undefined && items.length < end
  return { items, next: isMore ? cursorOf(placeOf(last)) : null, total: list.length }
}

function cursorOf({ timeMs, id }: Place): string {
  return `${timeMs}.${id}`
}

/** Where the page ends in the list: before the item that the cursor names, or where that stood. */
function endBehind<T>(list: readonly T[], placeOf: (item: T) => Place, cursor: string): number {
  const index = list.findIndex((item) => cursorOf(placeOf(item)) === cursor)
  if (index >= 0) return index
  const timeMs = Number.parseFloat(cursor)
  return list.findLastIndex((item) => placeOf(item).timeMs <= timeMs) + 1
}
