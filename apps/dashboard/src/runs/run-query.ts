/**
 * The query bar: words and conditions, all of which must hold. `state:running method:hd-pissa otter`,
 * `-tag:old`, `loss<0.5`, `accuracy>=0.8`, `rank=4`, `group:"my group"`. Pure.
 */
import type { RunView } from '@rankscope/protocol'
import { runFigure } from './run-figures.ts'

export type Condition =
  | { kind: 'text'; text: string; negated: boolean }
  | { kind: 'field'; field: TextField; text: string; negated: boolean }
  | { kind: 'number'; field: NumberField; operator: Operator; number: number; negated: boolean }

const textFields = ['state', 'method', 'tag', 'group', 'model', 'node', 'name', 'backend'] as const
type TextField = (typeof textFields)[number]

export const numberFields = ['loss', 'accuracy', 'rank', 'lr', 'devices', 'seed', 'step', 'batch'] as const
export type NumberField = (typeof numberFields)[number]
type Operator = '<' | '<=' | '=' | '>=' | '>'

export type ParsedQuery = {
  conditions: Condition[] /** Parts that mean nothing, to be told. */
  problems: string[]
}

export function parseQuery(query: string): ParsedQuery {
  const conditions: Condition[] = []
  const problems: string[] = []
  for (const token of query.match(/-?(?:[^\s"]+"[^"]*"?|"[^"]*"?|[^\s"]+)/g) ?? []) {
    const negated = token.startsWith('-') && token.length > 1
    const word = negated ? token.slice(1) : token
    const numeric = /^([a-zA-Z]+)(<=|>=|<|>|=)(.+)$/.exec(word)
    const field = /^([a-zA-Z]+):(.*)$/.exec(word)
    if (numeric) {
      const number = Number(numeric[3])
      const name = numeric[1]!.toLowerCase()
      if (!(numberFields as readonly string[]).includes(name))
        problems.push(`${name} is no number to compare; there are ${numberFields.join(', ')}`)
      else if (Number.isNaN(number)) problems.push(`${numeric[3]} is not a number`)
      else {
        const operator = numeric[2] as Operator
        conditions.push({ kind: 'number', field: name as NumberField, operator, number, negated })
      }
    } else if (field) {
      const name = field[1]!.toLowerCase()
      const text = unquote(field[2]!).toLowerCase()
      if ((textFields as readonly string[]).includes(name)) {
        if (text !== '') conditions.push({ kind: 'field', field: name as TextField, text, negated })
      } else problems.push(`${name}: is not known; there are ${textFields.map((one) => `${one}:`).join(' ')}`)
    } else conditions.push({ kind: 'text', text: unquote(word).toLowerCase(), negated })
  }
  return { conditions, problems }
}

export function matchesQuery(run: RunView, conditions: readonly Condition[]): boolean {
  return conditions.every((condition) => holds(run, condition) !== condition.negated)
}

function holds(run: RunView, condition: Condition): boolean {
  switch (condition.kind) {
    case 'text':
      return searchText(run).includes(condition.text)
    case 'field': {
      const values = fieldValues(run, condition.field).map((value) => value.toLowerCase())
      // States and methods are words of a closed list: `method:lora` must not find lora-dwu.
      return condition.field === 'state' || condition.field === 'method'
        ? values.includes(condition.text)
        : values.some((value) => value.includes(condition.text))
    }
    case 'number': {
      const value = runFigure(run, condition.field)
      if (value === null) return false
      return compare(value, condition.operator, condition.number)
    }
    default:
      return condition satisfies never
  }
}

function compare(value: number, operator: Operator, number: number): boolean {
  switch (operator) {
    case '<':
      return value < number
    case '<=':
      return value <= number
    case '=':
      return value === number
    case '>=':
      return value >= number
    case '>':
      return value > number
    default:
      return operator satisfies never
  }
}

function fieldValues(run: RunView, field: TextField): string[] {
  switch (field) {
    case 'state':
      return [run.state]
    case 'method':
      return [run.config.method.name]
    case 'tag':
      return run.config.tags
    case 'group':
      return [run.config.group ?? '']
    case 'model':
      return [run.config.model.path]
    case 'node':
      return [run.nodeId ?? '']
    case 'name':
      return [run.name]
    case 'backend':
      return [run.start?.backend ?? run.config.resources.backend]
    default:
      return field satisfies never
  }
}

function searchText(run: RunView): string {
  return [run.name, run.runId, run.config.method.name, run.state, run.config.group ?? '', ...run.config.tags]
    .join(' ')
    .toLowerCase()
}

function unquote(text: string): string {
  return text.replaceAll('"', '')
}
