/** What recipes ask for at full scale: the reader’s model and files. Recipes that need the same ask in the same words. */
import type { Ask } from './recipe.ts'

const data = (key: string, title: string, hint: string): Ask => ({ key, kind: 'data', title, hint })

export const modelAsk = (model: string): Ask => ({
  key: 'model',
  kind: 'model',
  title: 'Base model',
  hint: `the folder of ${model} on the node`,
})
export const mathAsk = data('math', 'Mathematics', 'your copy of MetaMathQA (395K), as JSON or JSONL')
export const mathTestAsk = data('mathTest', 'GSM8K test file', 'the 1,319 test questions of GSM8K')
export const mathBenchmarkAsk = data('mathBenchmark', 'MATH test file', 'the 5,000 test problems of MATH')
export const codeAsk = data('code', 'Code', 'your copy of CodeFeedback-Python (105K)')
export const codeTestAsks = [
  data('humaneval', 'HumanEval', 'HumanEval.jsonl, 164 problems with their tests'),
  data(
    'mbpp',
    'MBPP',
    'mbpp.jsonl, or the 378 problems that EvalPlus keeps: the paper’s scores are counts of 378',
  ),
]
export const commonsenseAsk = data('commonsense', 'Commonsense', 'your copy of commonsense_170k.json')
export const conversationAsk = data('conversation', 'Conversation', 'your copy of WizardLM (143K)')
export const textAsk = data(
  'text',
  'Untouched text',
  'plain text that training does not touch, for forgetting: PEFT takes rows of Wikipedia',
)
