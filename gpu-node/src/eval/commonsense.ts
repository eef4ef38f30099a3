/** The eight commonsense sets of LLM-Adapters: the first answer word of a completion (METHODS 6.2). */

/** The answer words of each family of sets, in the alternatives' order of the original script. */
const families = [
  /true|false/,
  /solution1|solution2/,
  /answer1|answer2|answer3|answer4|answer5/,
  /ending1|ending2|ending3|ending4/,
  /option1|option2/,
]

/** The first word of the reference's family in the completion, case-sensitive; null where there is none. */
export function commonsenseAnswer(completion: string, reference: string): string | null {
  const family = families.find((words) => words.test(reference))
  return family?.exec(completion.trim())?.[0] ?? null
}
