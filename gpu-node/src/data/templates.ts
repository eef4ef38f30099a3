/** Prompt templates: how a record becomes the text that the model sees, and the text that it should write. */
import type { RunConfig } from '@rankscope/protocol'

export type TemplateName = RunConfig['data']['template']

export interface Template {
  prompt(instruction: string): string
  /** What follows the prompt immediately; `endToken` is the tokenizer's end-of-text token as text. */
  target(output: string, endToken: string): string
}

export const templates = {
  /** The template of the HD-PiSSA and PiSSA code (METHODS 6.1): no space after "Response:", newline before the end. */
  alpaca: {
    prompt: (instruction) =>
      'Below is an instruction that describes a task. Write a response that appropriately completes the request.' +
      `\n\n### Instruction:\n${instruction}\n\n### Response:`,
    target: (output, endToken) => `${output}\n${endToken}`,
  },
  plain: {
    prompt: (instruction) => `${instruction}\n`,
    target: (output, endToken) => `${output}${endToken}`,
  },
} satisfies Record<TemplateName, Template>
