import { comparison, comparisonBase, type RunState, type RunView } from '@rankscope/protocol'
import { expect, it } from 'vitest'
import { demoGroup, interruptedDemo } from './interrupted-demo.ts'

const methods = ['lora', 'hd-pissa'] as const
const [earlier, later] = [demoGroup(new Date(0)), demoGroup(new Date(1e12))]

/** Runs as the server shows them, newest first. */
function demo(group: string, ...states: RunState[]): RunView[] {
  return comparison(group, methods)
    .map((config, index) => {
      const name = `run-${index}`
      return {
        runId: `${group} ${index}`,
        name,
        config: { ...config, name },
        state: states[index]!,
      } as RunView
    })
    .reverse()
}
const wanted = comparison(demoGroup(new Date(2e12)), methods)
const found = (runs: RunView[]) => interruptedDemo(runs, wanted)?.map(({ runId }) => runId) ?? null

it('the newest interrupted demo goes on, its finished runs included, in the order asked for', () => {
  const runs = [...demo(later, 'finished', 'lost'), ...demo(earlier, 'queued', 'queued')]
  expect(found(runs)).toEqual([`${later} 0`, `${later} 1`])
})

it.each<[string, RunState[]]>([
  ['is finished', ['finished', 'finished']],
  ['has a failed run', ['failed', 'running']],
  ['has a run that was stopped', ['stopped', 'queued']],
  ['has a paused run', ['paused', 'running']],
])('a demo that %s is left alone', (_, states) => {
  expect(found(demo(later, ...states))).toBeNull()
})

it('a demo of other methods or another length is not the same', () => {
  const runs = demo(later, 'running', 'running')
  const shorter = { ...comparisonBase, training: { ...comparisonBase.training, maxSteps: 5 } }
  expect(interruptedDemo(runs, comparison('x', methods, shorter))).toBeNull()
  expect(interruptedDemo(runs, comparison('x', ['lora']))).toBeNull()
  expect(interruptedDemo(runs, comparison('x', ['lora', 'hd-pissa', 'full']))).toBeNull()
})
