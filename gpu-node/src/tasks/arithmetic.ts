/** `arithmetic`: word problems in two or three steps; the output shows the steps and ends with the number. */
import type { Random } from '../random.ts'
import { countables, people } from './lexicon.ts'
import type { Task } from './task.ts'

type Operator = '+' | '-' | '*'

/** Writes a chain of operations, e.g. 7 (+5) (-3) as `7 + 5 = 12, 12 - 3 = 9. Answer: 9`. */
function solve(start: number, ...operations: [Operator, number][]): { output: string; answer: string } {
  let value = start
  const steps = operations.map(([operator, operand]) => {
    const before = value
    value = operator === '+' ? before + operand : operator === '-' ? before - operand : before * operand
    return `${before} ${operator} ${operand} = ${value}`
  })
  return { output: `${steps.join(', ')}. Answer: ${value}`, answer: String(value) }
}

function cast(random: Random): { name: string; other: string; items: string } {
  const [name, other] = random.shuffle([...people]) as [string, string]
  return { name, other, items: random.pick(countables) }
}

export const arithmetic: Task = {
  title: 'Arithmetic',
  description: 'Word problems in two or three steps; the whole solution has to be right.',
  questions: {
    'gain-loss'(random) {
      const { name, other, items } = cast(random)
      const [have, gain] = [random.integer(2, 15), random.integer(2, 10)]
      const loss = random.integer(1, Math.min(have + gain, 10))
      return {
        instruction: `${name} has ${have} ${items}, finds ${gain} more and gives ${loss} to ${other}. How many ${items} does ${name} have?`,
        ...solve(have, ['+', gain], ['-', loss]),
      }
    },
    groups(random) {
      const { name, items } = cast(random)
      const [boxes, each] = [random.integer(2, 6), random.integer(2, 6)]
      const taken = random.integer(1, Math.min(boxes * each, 10))
      return {
        instruction: `There are ${boxes} boxes with ${each} ${items} each. ${name} takes ${taken}. How many ${items} are left?`,
        ...solve(boxes, ['*', each], ['-', taken]),
      }
    },
    together(random) {
      const { name, other, items } = cast(random)
      const [first, second, third] = [random.integer(2, 12), random.integer(2, 10), random.integer(2, 10)]
      return {
        instruction: `${name} has ${first} ${items}, ${other} has ${second}, and ${third} are on the table. How many ${items} are there?`,
        ...solve(first, ['+', second], ['+', third]),
      }
    },
    'three-steps'(random) {
      const { name, items } = cast(random)
      const [have, bought] = [random.integer(2, 10), random.integer(2, 10)]
      const lost = random.integer(1, Math.min(have + bought, 10))
      const found = random.integer(1, 10)
      return {
        instruction: `${name} has ${have} ${items}, buys ${bought}, loses ${lost} and finds ${found}. How many ${items} does ${name} have?`,
        ...solve(have, ['+', bought], ['-', lost], ['+', found]),
      }
    },
  },
}
