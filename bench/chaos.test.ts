/** The chaos trial in short, of one method; `npm run bench -- chaos` is the long form. */
import { expect, it } from 'vitest'
import { runTrial } from './chaos/trial.ts'

it.skipIf(process.platform !== 'linux')(
  'kills, freezes, cuts and a sleep of everything lose, double, reorder and leave nothing, and change no loss',
  { timeout: 240_000 },
  async () => {
    const lines: string[] = []
    const result = await runTrial({
      seed: 5,
      faults: 4,
      kinds: ['kill the server', 'kill the daemon', 'kill a run', 'freeze a run', 'cut the link'],
      sleeps: 1,
      sleepMs: 3500,
      pauseMs: { least: 100, most: 1000 },
      methods: ['lora'],
      steps: 40,
      longestMs: 120_000,
      report: (line) => lines.push(line),
    })
    expect(result.findings, lines.join('\n')).toEqual([])
    expect([...result.counts.values()].reduce((sum, times) => sum + times, 0)).toBe(5)
  },
)
