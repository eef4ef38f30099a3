/** What a chart without a curve says. What is not here yet may still be there: only complete histories tell of none. Pure. */
import { isSettled, type RunView } from '@rankscope/protocol'

type Loading = { ready: number; error: Error | null }

export function emptyText(what: string, runs: readonly Pick<RunView, 'state'>[], loading: Loading): string {
  if (loading.error) return `This could not be loaded: ${loading.error.message}.`
  if (loading.ready < runs.length) return 'Loading …'
  if (!runs.every((run) => isSettled(run.state))) return `Waiting for the first ${what} …`
  return `The ${runs.length === 1 ? 'run' : 'runs'} ended without ${/^[aeiou]/.test(what) ? 'an' : 'a'} ${what}.`
}

/** For the head of a chart: how many of its runs are here; null once all are. */
export function loadedNote(runs: number, ready: number): string | null {
  return ready < runs ? `${ready} of ${runs} runs loaded` : null
}
