/** What all tasks of EleutherAI's lm-evaluation-harness share here: what is followed, and what its prompts are joined by. */
import type { Protocol } from './benchmark.ts'

/** The version whose task definitions are followed. */
const harness = '0.4.13'

/** Tokens of an answer where a task says nothing. */
export const defaultAnswerTokens = 256

/** `task`: name and version in the harness; `departure`: what is scored otherwise than there. */
export function lmEvalProtocol(
  task: string,
  {
    shots = 0,
    maxNewTokens = defaultAnswerTokens,
    departure = '',
  }: { shots?: number; maxNewTokens?: number; departure?: string } = {},
): Protocol {
  const note = `${task} of harness ${harness}${departure === '' ? '' : `; ${departure}`}`
  return { name: 'lm-eval', version: 1, note, shots, maxNewTokens }
}

/** Solved examples before a question, an empty line after each. */
export function fewShotPrompt(solved: readonly string[], question: string): string {
  return [...solved, question].join('\n\n')
}
