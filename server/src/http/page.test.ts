import { describe, expect, it } from 'vitest'
import { newestFirst } from './page.ts'

const items = [1, 1, 2, 3, 3, 3, 4].map((timeMs, index) => ({ timeMs, id: `id-${index}` }))
const page = (list: typeof items, limit: number, cursor?: string | null) =>
  newestFirst(list, (item) => item, { limit, ...(cursor ? { cursor } : {}) })
const ids = (list: typeof items) => list.map(({ id }) => id)

/** All pages, one after the other; `between` may take items away before each further one. */
function walk(limit: number, between: (list: typeof items, seen: string[]) => typeof items = (list) => list) {
  let list = items
  const seen: string[] = []
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const answer = page(list, limit, cursor)
    seen.push(...ids(answer.items))
    cursor = answer.next
    list = between(list, seen)
  }
  return seen
}

describe('pages of a list', () => {
  it.each([1, 2, 3, 7, 100])('of %i hold each item once, newest first', (limit) => {
    expect(walk(limit)).toEqual(ids(items).reverse())
  })

  it('leave no gap, and do not begin anew, where the item before a page was removed', () => {
    const seen = walk(1, (list, told) => list.filter(({ id }) => id !== told.at(-1) || id === 'id-0'))
    expect([...new Set(seen)]).toEqual(ids(items).reverse())
    expect(seen.length).toBeLessThan(2 * items.length)
  })

  it('end where a cursor means nothing', () => {
    expect(page(items, 5, 'nonsense')).toEqual({ items: [], next: null, total: 7 })
  })

  it('hold fewer of heavy items, but one at least', () => {
    const heavy = { of: () => 10, most: 25 }
    const first = newestFirst(items, (item) => item, { limit: 5 }, heavy)
    expect(first.items).toHaveLength(2)
    expect(first.next).toBe('3.id-5')
    expect(newestFirst(items, (item) => item, { limit: 5 }, { of: () => 99, most: 25 }).items).toHaveLength(1)
  })
})
