import { taskNames } from '@rankscope/protocol'
import { describe, expect, it } from 'vitest'
import { type Split, splits, taskRecords, tasks } from './index.ts'

describe.each(taskNames)('task %s', (name) => {
  const draw = (split: Split, count = 300, seed = 3) => taskRecords(name, split, count, seed)

  it('the same seed gives the same records, another seed others, and fewer are the beginning of more', () => {
    expect(draw('train')).toEqual(draw('train'))
    expect(draw('train', 300, 4)).not.toEqual(draw('train'))
    expect(draw('train', 40)).toEqual(draw('train').slice(0, 40))
  })

  it('no instruction is in two splits, whatever the seeds, nor twice in one', () => {
    const all = splits.flatMap((split, i) => [
      ...new Set([3, 4].flatMap((seed) => draw(split, 400, seed + i).map((record) => record.instruction))),
    ])
    expect(new Set(all).size).toBe(all.length)
    const train = draw('train', 2000).map((record) => record.instruction)
    expect(new Set(train).size).toBe(2000)
  })

  it('every type appears, and the instruction does not tell the whole output', () => {
    const records = draw('train', 600)
    expect(new Set(records.map((record) => record.type))).toEqual(new Set(Object.keys(tasks[name].questions)))
    for (const { instruction, output, answer } of records) {
      expect(output).not.toBe('')
      expect(output).toContain(answer)
      expect(instruction.length).toBeLessThan(200)
    }
  })
})

describe('answers are right', () => {
  it('arithmetic: each step holds, and the last gives the answer', () => {
    for (const { output, answer } of taskRecords('arithmetic', 'train', 500, 1)) {
      const steps = [...output.matchAll(/(\d+) ([+*-]) (\d+) = (\d+)/g)]
      let value = Number(steps[0]![1])
      for (const [, left, operator, right, result] of steps) {
        expect(Number(left)).toBe(value)
        const operand = Number(right)
        value = operator === '+' ? value + operand : operator === '-' ? value - operand : value * operand
        expect(Number(result)).toBe(value)
        expect(value).toBeGreaterThanOrEqual(0)
      }
      expect(output.endsWith(`Answer: ${value}`)).toBe(true)
      expect(answer).toBe(String(value))
    }
  })

  it('choice: the answer named exists among four different ones', () => {
    for (const { instruction, output } of taskRecords('choice', 'train', 500, 1)) {
      const options = [...instruction.matchAll(/Answer\d: (\S+)/g)].map((match) => match[1])
      expect(new Set(options).size).toBe(4)
      expect(output).toMatch(/^answer[1-4]$/)
    }
  })

  it('choice: the right answers stand in every place equally often', () => {
    const records = taskRecords('choice', 'train', 2000, 1)
    for (const place of [1, 2, 3, 4]) {
      const share = records.filter((record) => record.output === `answer${place}`).length / records.length
      expect(share).toBeGreaterThan(0.2)
      expect(share).toBeLessThan(0.3)
    }
  })

  it.each([
    ['reverse', /^x = \[(.*)\]; print\(x\[::-1\]\)$/, (x: string[]) => `[${x.reverse().join(', ')}]`],
    ['sort', /^x = \[(.*)\]; print\(sorted\(x\)\)$/, (x: string[]) => `[${x.sort().join(', ')}]`],
    ['maximum', /^x = \[(.*)\]; print\(max\(x\)\)$/, (x: string[]) => x.sort().at(-1)],
    ['length', /^x = \[(.*)\]; print\(len\(x\)\)$/, (x: string[]) => String(x.length)],
  ])('programs: %s prints what Python would print', (type, pattern, compute) => {
    const records = taskRecords('programs', 'train', 1500, 1).filter((record) => record.type === type)
    expect(records.length).toBeGreaterThan(5)
    for (const { instruction, output } of records)
      expect(output).toBe(compute(pattern.exec(instruction)![1]!.split(', ')))
  })
})
