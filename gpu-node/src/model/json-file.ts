/** JSON files of a model folder. */
import { existsSync, readFileSync } from 'node:fs'
import { RankscopeError } from '@rankscope/protocol'
import { recogniseFile } from './recognise.ts'
import { requireRegularFile } from './regular-file.ts'

/** The JSON in a file; where it is not JSON, an error with the given code that names the file and what it is. */
export function readJsonFile(file: string, code: 'MODEL_BROKEN' | 'TOKENIZER_BROKEN'): unknown {
  requireRegularFile(file, code)
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    const found = existsSync(file) ? recogniseFile(file) : null
    throw new RankscopeError(code, `${file}: ${found ? `this is ${found.what}` : 'not readable as JSON'}`, {
      cause,
      ...(found && { hint: found.hint }),
    })
  }
}
