import { describe, expect, it } from 'vitest'
import { testRun } from '../testing/test-run.ts'
import { parseFilter } from './filter.ts'
import { completions } from './filter-completion.ts'
import { fieldNames } from './run-fields.ts'

const run = testRun(
  {
    state: 'running',
    latest: { 'train/loss': 0.4, 'eval/accuracy': 'NaN' },
    summary: { tailRatio: 0.02 },
  },
  { group: 'my group', tags: ['comparison', 'first'], optimizer: { learningRate: 1e-4 } },
)
const fields = fieldNames([run])
const known = new Set(fields)
const matches = (text: string) => {
  const { filter, error } = parseFilter(text, known)
  if (error) throw error
  return filter(run, 0)
}
const mistake = (text: string) => {
  const { error } = parseFilter(text, known)
  return error && [text.slice(error.at, error.to), error.message, error.at]
}

describe('a filter', () => {
  it.each([
    ['', true],
    ['otter', true],
    ['otter badger', false],
    ['method = lora and rank >= 4', true],
    ['method = "hd-pissa" and rank >= 4', false],
    ['method = "hd-pissa" or rank >= 4 and lr < 1e-3', true],
    ['(method = "hd-pissa" or rank >= 4) and lr > 1e-3', false],
    ['1e-5 < lr < 1e-3', true],
    ['1e-5 < lr < 1e-4', false],
    ['not method = lora', false],
    ['not (method = pissa or rank = 8)', true],
    ['optimizer.learningRate = 1e-4', true],
    ['train/loss < 0.5', true],
    ['summary.tailRatio < 0.1', true],
    ['method in (pissa, lora)', true],
    ['method not in (pissa, lora)', false],
    ['tag = first', true],
    ['tag = fir', false],
    ['tag ~ fir', true],
    ['group = "my group"', true],
    ['node = none', true],
    ['node != none', false],
    ['node != somewhere', false],
    ['method != pissa', true],
    ['rank != 8', true],
    // NaN satisfies no comparison, not even with itself.
    ['accuracy > 0 or accuracy <= 0', false],
    ['LR == 0.0001', true],
    // As before there was a grammar.
    ['state:running otter', true],
    ['-method:pissa -tag:old', true],
    ['method:lor', false],
    ['group:"my group" loss<0.5', true],
    ['state:', true],
  ])('“%s” finds the run: %s', (text, expected) => expect(matches(text)).toBe(expected))

  it.each([
    ['method = lora and rnak >= 16', 'rnak', 'there is no field rnak; did you mean rank?'],
    ['rank >= ', ' ', 'here a value is missing'],
    ['rank >= "16"', '"16"', 'only numbers are larger or smaller'],
    ['(rank = 4', '(', 'this bracket is never closed'],
    ['rank = 4)', ')', 'this bracket closes none'],
    ['name = "otter', '"otter', 'this text has no closing quote'],
    ['rank = 4 and', '', 'here a field, a value or a word is missing'],
    ['rank = 4 ; seed = 1', ';', '“;” means nothing here'],
    ['1 < 2', '1 < 2', 'no field is compared here'],
    ['method in pissa', 'pissa', 'after “in” comes a list in brackets'],
  ])('“%s” is refused at “%s”', (text, part, message) => {
    const found = mistake(text)
    expect(found?.[1]).toContain(message)
    if (part.trim() !== '') expect(found?.[0]).toContain(part)
    else expect(found?.[2]).toBe(text.length)
  })
})

describe('completion', () => {
  const offered = (text: string, caret = text.length) =>
    completions(text, caret, fields, [run]).map(
      (one) => text.slice(0, one.from) + one.text + text.slice(one.to),
    )
  it('offers fields, then operators, then values that the runs have, then what joins conditions', () => {
    expect(offered('ra')).toContain('rank')
    expect(offered('optimizer.lea')).toContain('optimizer.learningRate')
    expect(offered('method ')).toContain('method =')
    expect(offered('method = ')).toEqual(['method = lora'])
    expect(offered('group:')).toEqual(['group:"my group"'])
    expect(offered('rank = 4 ')).toEqual(['rank = 4 and', 'rank = 4 or'])
    expect(offered('rank = 4 and sta')).toContain('rank = 4 and state')
  })
  it('takes the place of the word at the caret', () => {
    expect(offered('sta = running', 3)).toContain('state = running')
  })
})
