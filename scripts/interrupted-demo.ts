/** Finds the demo that was interrupted, so that the next one goes on with it instead of queueing behind it. Pure. */
import { isSettled, type RunConfig, type RunView } from '@rankscope/protocol'

export const demoGroup = (now: Date) => `demo ${now.toISOString().slice(0, 19).replace('T', ' ')}`

/**
 * The runs of the newest demo that is still under way, in the order of `configs`, or null: it asks for the same, and
 * none of its runs was paused or stopped or has failed, which only a person can undo.
 */
export function interruptedDemo(runs: readonly RunView[], configs: readonly RunConfig[]): RunView[] | null {
  const groups = new Set(
    runs.map(({ config }) => config.group ?? '').filter((name) => name.startsWith('demo ')),
  )
  for (const group of [...groups].sort().reverse()) {
    const members = runs.filter(({ config }) => config.group === group)
    const found = configs.map((config) => members.find((run) => isSameWork(run.config, config)))
    const isComplete = members.length === configs.length && found.every((run) => run !== undefined)
    const goesOn = found.some((run) => run && !isSettled(run.state))
    const isWhole = found.every((run) => run?.state === 'finished' || (run && !isSettled(run.state)))
    if (isComplete && goesOn && isWhole && !found.some((run) => run.state === 'paused')) return found
  }
  return null
}

function isSameWork(one: RunConfig, other: RunConfig): boolean {
  const work = (config: RunConfig) => JSON.stringify({ ...config, name: null, group: null })
  return work(one) === work(other)
}
