/** JSON files of a model folder. */
import { readFileSync, statSync } from 'node:fs'
import { RankscopeError } from '@rankscope/protocol'
import { recogniseFile } from './recognise.ts'

/** The JSON in a file; where it is not JSON, an error with the given code that names the file and what it is. */
export function readJsonFile(file: string, code: 'MODEL_BROKEN' | 'TOKENIZER_BROKEN'): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    const found = statSync(file, { throwIfNoEntry: false })?.isFile() ? recogniseFile(file) : null
    throw new RankscopeError(code, `${file}: ${found ? `this is ${found.what}` : 'not readable as JSON'}`, {
      cause,
      ...(found && { hint: found.hint }),
    })
  }
}
