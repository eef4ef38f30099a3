/** `choice`: questions with four answers, of which one is right; the output is `answer1` to `answer4`. */
import type { Random } from '../random.ts'
import { article, kindNames, kinds, opposites, sounds, words } from './lexicon.ts'
import type { Task } from './task.ts'

/** The question with the right answer among three wrong ones, in random order. */
function among(random: Random, question: string, right: string, wrong: readonly string[]) {
  const pool = random.shuffle([...new Set(wrong)].filter((word) => word !== right))
  const options = random.shuffle([right, ...pool.slice(0, 3)])
  const lines = options.map((option, i) => `Answer${i + 1}: ${option}`)
  return { instruction: `${question}\n${lines.join(' ')}`, output: `answer${options.indexOf(right) + 1}` }
}

export const choice: Task = {
  title: 'Choice',
  description: 'Questions about a small world with four answers, one of them right.',
  questions: {
    kind(random) {
      const kind = random.pick(kindNames)
      const others = words.filter((word) => !(kinds[kind] as readonly string[]).includes(word))
      return among(random, `Which one is ${article(kind)} ${kind}?`, random.pick(kinds[kind]), others)
    },
    stranger(random) {
      const [kind, other] = random.shuffle([...kindNames]) as [keyof typeof kinds, keyof typeof kinds]
      return among(
        random,
        `Which one is not ${article(kind)} ${kind}?`,
        random.pick(kinds[other]),
        kinds[kind],
      )
    },
    opposite(random) {
      const pair = random.shuffle([...random.pick(opposites)]) as [string, string]
      const others = opposites.flat().filter((word) => !pair.includes(word))
      return among(random, `What is the opposite of ${pair[0]}?`, pair[1], others)
    },
    sound(random) {
      const [animal, sound] = random.pick(sounds)
      return among(
        random,
        `What does the ${animal} say?`,
        sound,
        sounds.map(([, other]) => other),
      )
    },
    largest(random) {
      const numbers = random.shuffle(Array.from({ length: 99 }, (_, i) => i + 1)).slice(0, 4)
      const right = String(Math.max(...numbers))
      return among(random, 'Which number is the largest?', right, numbers.map(String))
    },
  },
}
