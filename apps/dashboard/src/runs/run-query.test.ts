import { describe, expect, it } from 'vitest'
import { testRun } from '../testing/test-run.ts'
import { matchesQuery, parseQuery } from './run-query.ts'

const run = testRun(
  { state: 'running', latest: { 'train/loss': 0.4, 'eval/accuracy': 'NaN' } },
  { group: 'my group', tags: ['comparison'] },
)
const matches = (query: string) => matchesQuery(run, parseQuery(query).conditions)

describe('the query bar', () => {
  it.each([
    ['', true],
    ['otter', true],
    ['state:running otter', true],
    ['state:running badger', false],
    ['state:run', false],
    ['method:lora', true],
    ['-method:lora', false],
    ['-tag:old tag:compar', true],
    ['group:"my group"', true],
    ['loss<0.5', true],
    ['loss>=0.5', false],
    ['rank=4 lr<1e-3', true],
    ['accuracy>0', false],
    ['state:', true],
  ])('“%s” finds the run: %s', (query, expected) => expect(matches(query)).toBe(expected))

  it('says what it does not understand instead of ignoring it', () => {
    expect(parseQuery('colour:red loss<much').problems).toHaveLength(2)
  })
})
