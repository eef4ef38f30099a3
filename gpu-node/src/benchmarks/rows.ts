/** Rows of a benchmark's file as items: a row that does not fit is DATA_BROKEN with its place. */
import { RankscopeError } from '@rankscope/protocol'
import { z } from 'zod'
import { readValues } from '../data/read-values.ts'

/** `itemOf` of every row, in the file's order. It throws a ZodError, or a coded error of its own, for a row that does not fit. */
export async function readRows<T>(
  file: string,
  title: string,
  itemOf: (row: unknown, index: number) => T,
): Promise<T[]> {
  const items: T[] = []
  for await (const values of readValues(file))
    for (const { value, place } of values) items.push(placed(() => itemOf(value, items.length), place, title))
  return items
}

function placed<T>(make: () => T, place: string, title: string): T {
  try {
    return make()
  } catch (cause) {
    if (cause instanceof RankscopeError)
      throw new RankscopeError(cause.code, `${place}: ${cause.message}`, {
        cause,
        ...(cause.hint !== null && { hint: cause.hint }),
      })
    if (!(cause instanceof z.ZodError)) throw cause
    const [issue] = cause.issues
    const where = issue!.path.length === 0 ? '' : `${issue!.path.join('.')}: `
    throw new RankscopeError('DATA_BROKEN', `${place}: ${where}${issue!.message}`, {
      cause,
      hint: `a row of ${title} is expected`,
    })
  }
}
