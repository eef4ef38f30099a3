import { toRunRow } from '@rankscope/protocol'
import { expect, it } from 'vitest'
import { testRun } from '../testing/test-run.ts'
import { changedView, viewOfRow } from './run-rows.ts'

const run = testRun({ state: 'running', step: 3 }, { tags: ['one'], optimizer: { learningRate: 0.5 } })

it('a row is the run again, but for what only its own page shows', () => {
  expect(viewOfRow(toRunRow(run))).toEqual({ ...run, start: null, checkpoint: null })
})

it('a change brings the fields that it names; a run that nobody knows needs all of them', () => {
  expect(changedView(run, { runId: run.runId, step: 4 })).toEqual({ ...run, step: 4 })
  expect(changedView(undefined, { runId: run.runId, step: 4 })).toBeNull()
  expect(changedView(undefined, toRunRow(run))?.config).toEqual(run.config)
})
