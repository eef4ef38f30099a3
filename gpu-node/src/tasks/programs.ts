/** `programs`: what a line of Python about a list of digits or of words prints. */
import type { Random } from '../random.ts'
import { words } from './lexicon.ts'
import type { Task } from './task.ts'

function digits(random: Random, least = 3, most = 5): number[] {
  return Array.from({ length: random.integer(least, most + 1) }, () => random.integer(0, 10))
}

function wordList(random: Random): string[] {
  return random.shuffle([...words]).slice(0, random.integer(3, 5))
}

const list = (values: readonly (number | string)[]) =>
  `[${values.map((value) => (typeof value === 'string' ? `'${value}'` : value)).join(', ')}]`

/** A question whose output is what the program prints. */
const prints = (instruction: string, output: string | number) => ({ instruction, output: String(output) })

export const programs: Task = {
  title: 'Programs',
  description: 'The output of a short Python program on a list of digits or words.',
  questions: {
    reverse(random) {
      const x = digits(random)
      return prints(`x = ${list(x)}; print(x[::-1])`, list([...x].reverse()))
    },
    sort(random) {
      const x = digits(random)
      return prints(`x = ${list(x)}; print(sorted(x))`, list([...x].sort((a, b) => a - b)))
    },
    maximum(random) {
      const x = digits(random)
      return prints(`x = ${list(x)}; print(max(x))`, Math.max(...x))
    },
    minimum(random) {
      const x = digits(random)
      return prints(`x = ${list(x)}; print(min(x))`, Math.min(...x))
    },
    index(random) {
      const x = digits(random)
      const i = random.integer(0, x.length)
      return prints(`x = ${list(x)}; print(x[${i}])`, x[i] as number)
    },
    append(random) {
      const x = digits(random, 2, 4)
      const value = random.integer(0, 10)
      return prints(`x = ${list(x)}; x.append(${value}); print(x)`, list([...x, value]))
    },
    remove(random) {
      const x = [...new Set(digits(random, 4, 5))]
      const value = random.pick(x)
      return prints(
        `x = ${list(x)}; x.remove(${value}); print(x)`,
        list(x.filter((digit) => digit !== value)),
      )
    },
    tail(random) {
      const x = digits(random)
      return prints(`x = ${list(x)}; print(x[1:])`, list(x.slice(1)))
    },
    'reverse-words'(random) {
      const x = wordList(random)
      return prints(`x = ${list(x)}; print(x[::-1])`, list([...x].reverse()))
    },
    'join-words'(random) {
      const x = wordList(random)
      return prints(`x = ${list(x)}; print(' '.join(x))`, x.join(' '))
    },
    length(random) {
      const x = digits(random, 1, 6)
      return prints(`x = ${list(x)}; print(len(x))`, x.length)
    },
  },
}
