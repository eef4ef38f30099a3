import { describe, expect, it } from 'vitest'
import { readRecords } from '../data/records.ts'
import { collect } from '../testing/collect.ts'
import { sharedMissing, sharedPath } from '../testing/shared-material.ts'
import { commonsenseAnswer } from './commonsense.ts'
import { flexibleNumber, metaMathNumber, officialNumber, roundHalfEven } from './gsm8k.ts'
import { answersAgree, boxedAnswer, statedAnswer } from './math.ts'
import { scorers } from './scorers.ts'

const record = (output: string, answer: string | null = null) => ({
  instruction: '',
  output,
  answer,
  type: null,
})

describe('GSM8K (invariant 42)', () => {
  it.each([
    ['The answer is: 1,234', 1234],
    ['The answer is: 1,234,567', 1234],
    ['The answer is: 1/2', 0],
    ['The answer is: 3/2', 2],
    ['The answer is: 7/0', 7],
    ['The answer is: /2', null],
    ['The answer is: 12.5', 12],
    ['The answer is: 13.5', 14],
    ['The answer is: -7 apples', -7],
    ['The answer is: 3\nThe answer is: 4', 4],
    ['The answer is: none', null],
    ['the answer is 4', null],
    ['', null],
  ])('MetaMath’s rule reads %j as %s', (completion, expected) => {
    expect(metaMathNumber(completion)).toBe(expected)
  })

  it('rounding of halves goes to the even neighbour, as Python’s', () => {
    expect([-1.5, -0.5, 0.5, 1.5, 2.5, 2.4, 2.6].map(roundHalfEven)).toEqual(
      [-2, 0, 0, 2, 2, 2, 3].map((x) => x || expect.closeTo(0)),
    )
  })

  it('the official and the flexible rule', () => {
    expect(officialNumber('so\n#### 1,200')).toBe(1200)
    expect(officialNumber('so 12')).toBeNull()
    expect(flexibleNumber('first 3, then $1,250.')).toBe(1250)
    expect(flexibleNumber('none')).toBeNull()
  })

  it('a completion counts with either marker, and without one is wrong', () => {
    const gold = record('2 + 2 = <<2+2=4>>4\n#### 4')
    expect(scorers.gsm8k.correct('The answer is: 4', gold)).toBe(true)
    expect(scorers.gsm8k.correct('it is #### 4', gold)).toBe(true)
    expect(scorers.gsm8k.correct('it is 4', gold)).toBe(false)
    expect(scorers.gsm8k.correct('The answer is: 4', record('The answer is: 4'))).toBe(true)
    expect(scorers.gsm8k.correct('The answer is: 4', record('whatever', '4'))).toBe(true)
  })

  it.skipIf(sharedMissing)(
    `all 1319 reference answers of the test set parse ${sharedMissing ?? ''}`,
    async () => {
      const records = await collect(readRecords(sharedPath('data/gsm8k/test.jsonl'), null))
      expect(records).toHaveLength(1319)
      expect(records.every((one) => scorers.gsm8k.correct(one.output, one))).toBe(true)
    },
  )
})

describe('MATH', () => {
  it.each([
    ['\\frac12', '\\frac{1}{2}'],
    ['0.5', '\\frac{1}{2}'],
    ['.5', '0.5'],
    ['1/2', '\\dfrac{1}{2}'],
    ['\\frac1{72}', '\\tfrac{1}{72}'],
    ['\\sqrt3', '\\sqrt{3}'],
    ['x=5', '5'],
    ['10\\%', '10'],
    ['5\\text{ cm}', '5'],
    ['90^\\circ', '90'],
    ['\\left( 3, \\frac{\\pi}{2} \\right)', '(3,\\frac{\\pi}{2})'],
    ['\\$18', '18'],
  ])('%s equals %s', (a, b) => {
    expect(answersAgree(a, b)).toBe(true)
    expect(answersAgree(b, a)).toBe(true)
  })

  it.each([
    ['1', '2'],
    ['2/4', '1/2'],
    ['abc=5', '5'],
    ['\\frac', 'x'],
  ])('%s differs from %s', (a, b) => {
    expect(answersAgree(a, b)).toBe(false)
  })

  it('two missing answers agree, one missing answer does not; malformed ones are compared as they stand', () => {
    expect(answersAgree(null, null)).toBe(true)
    expect(answersAgree(null, '1')).toBe(false)
    expect(answersAgree('1\\text{ a}\\text{ b}', '1\\text{ a}\\text{ b}')).toBe(true)
  })

  it('answers are taken from the last box, and from the last stated answer', () => {
    expect(boxedAnswer('so \\boxed{1} and \\boxed{\\frac{1}{2}}.')).toBe('\\frac{1}{2}')
    expect(boxedAnswer('no box')).toBeNull()
    expect(statedAnswer('The answer is: 5.\nBye')).toBe('5')
    expect(statedAnswer('The answer is: $\\frac{1}{2}$.')).toBe('$\\frac{1}{2}$')
    expect(scorers.math.correct('The answer is: \\frac12', record('thus \\boxed{\\dfrac{1}{2}}'))).toBe(true)
    expect(scorers.math.correct('dunno', record('no box at all'))).toBe(false)
  })
})

describe('commonsense', () => {
  it.each([
    ['the correct answer is true', 'false', 'true'],
    ['solution2 because solution1 fails', 'solution1', 'solution2'],
    ['answer5', 'answer1', 'answer5'],
    ['Answer1', 'answer1', null],
    ['ending4', 'ending1', 'ending4'],
    ['option2.', 'option1', 'option2'],
    ['', 'option1', null],
  ])('the first word of %j is %3$s', (completion, reference, expected) => {
    expect(commonsenseAnswer(completion, reference)).toBe(expected)
  })

  it('a completion is right when its first answer word is the reference’s', () => {
    const gold = record('the correct answer is answer2', 'answer2')
    expect(scorers.commonsense.correct('answer2 not answer1', gold)).toBe(true)
    expect(scorers.commonsense.correct('answer1 not answer2', gold)).toBe(false)
    expect(scorers.commonsense.correct('nothing', gold)).toBe(false)
    expect(scorers.commonsense.reference(record('the correct answer is true'))).toBe('true')
  })
})

describe('exact', () => {
  it('compares all of the answer but the white space around it', () => {
    expect(scorers.exact.correct(' 4 \n', record('4'))).toBe(true)
    expect(scorers.exact.correct('4 5', record('4'))).toBe(false)
  })
})
