/**
 * The multi-task mix of the HD-PiSSA paper (its Figure 4 and Table 6) as one configuration: mathematics, code,
 * conversation and eight sets of commonsense reasoning, every example once per epoch. The files are the reader's.
 */
import type { DataSource } from './data-config.ts'

type Scorer = Extract<DataSource, { kind: 'records' }>['scorer']

/** Name of each set, how its test file is scored, and what the file holds; fields are recognised by themselves. */
export const multiTaskSets = {
  MetaMathQA: { scorer: 'gsm8k', holds: 'MetaMathQA-395K: query, response' },
  'CodeFeedback-Python': { scorer: 'exact', holds: 'the Python part of CodeFeedback, 105K: query, response' },
  'WizardLM-Evol': {
    scorer: 'exact',
    holds: 'WizardLM_evol_instruct_V2, 143K: conversations, or human, assistant',
  },
  BoolQ: { scorer: 'commonsense', holds: 'the boolq part of commonsense_170k: instruction, output, answer' },
  PIQA: { scorer: 'commonsense', holds: 'the piqa part of commonsense_170k' },
  SIQA: { scorer: 'commonsense', holds: 'the social_i_qa part of commonsense_170k' },
  HellaSwag: { scorer: 'commonsense', holds: 'the hellaswag part of commonsense_170k' },
  WinoGrande: { scorer: 'commonsense', holds: 'the winogrande part of commonsense_170k' },
  'ARC-e': { scorer: 'commonsense', holds: 'the ARC-Easy part of commonsense_170k' },
  'ARC-c': { scorer: 'commonsense', holds: 'the ARC-Challenge part of commonsense_170k' },
  OBQA: { scorer: 'commonsense', holds: 'the openbookqa part of commonsense_170k' },
} as const satisfies Record<string, { scorer: Scorer; holds: string }>

export type MultiTaskSet = keyof typeof multiTaskSets
export const multiTaskSetNames = Object.keys(multiTaskSets) as MultiTaskSet[]

/** `data.source` of the mix. Sets without a test file are trained on and not scored. */
export function multiTaskMix(
  files: Readonly<Record<MultiTaskSet, string>>,
  testFiles: Readonly<Partial<Record<MultiTaskSet, string>>> = {},
) {
  return {
    kind: 'mix' as const,
    sources: multiTaskSetNames.map((name) => ({
      name,
      source: {
        kind: 'records' as const,
        path: files[name],
        evaluationPath: testFiles[name] ?? null,
        scorer: multiTaskSets[name].scorer,
      },
    })),
  }
}
