/**
 * The launch form’s fields, read from the JSON Schema that the protocol derives from its zod schemas. A new
 * hyperparameter appears in the form by being declared there; nothing here names a single one. Pure.
 */
import { runConfigJsonSchema } from '@rankscope/protocol'

type FieldBase = {
  key: string
  title: string
  description: string
  unit: string | null
  advanced: boolean
  logarithmic: boolean
  /** Undefined where a person must say something. */
  initial: unknown
}
export type Field = FieldBase &
  (
    | { kind: 'number'; integer: boolean; minimum: number | null; maximum: number | null; nullable: boolean }
    | { kind: 'text'; nullable: boolean }
    | { kind: 'flag' }
    | { kind: 'choice'; options: (string | number)[] }
    /** Several of a closed list. */
    | { kind: 'choices'; options: string[] }
    /** A list of free words. */
    | { kind: 'words'; nullable: boolean }
    /** A list of objects. */
    | { kind: 'list'; fields: Field[] }
    | { kind: 'object'; fields: Field[]; nullable: boolean }
    /** One of several objects, told apart by `discriminator`. */
    | { kind: 'variants'; discriminator: string; variants: { value: string; fields: Field[] }[] }
    /** A word, or an object with settings of its own: `mute`. */
    | { kind: 'wordOrObject'; word: string; fields: Field[] }
  )

type JsonSchema = {
  type?: string
  const?: unknown
  enum?: unknown[]
  title?: string
  description?: string
  unit?: string
  advanced?: boolean
  logarithmic?: boolean
  hidden?: boolean
  default?: unknown
  properties?: Record<string, JsonSchema>
  items?: JsonSchema
  anyOf?: JsonSchema[]
  oneOf?: JsonSchema[]
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
  exclusiveMaximum?: number
}

const root = runConfigJsonSchema() as JsonSchema

/** Fields of the whole configuration, in the schema’s order. */
export const configFields: readonly Field[] = fieldsOf(root)

function fieldsOf(schema: JsonSchema): Field[] {
  return Object.entries(schema.properties ?? {})
    .filter(([, property]) => property.hidden !== true)
    .map(([key, property]) => readField(key, property))
}

function readField(key: string, schema: JsonSchema): Field {
  const base: FieldBase = {
    key,
    title: schema.title ?? sentenceCase(key),
    description: schema.description ?? '',
    unit: schema.unit ?? null,
    advanced: schema.advanced ?? false,
    logarithmic: schema.logarithmic ?? false,
    initial: schema.default,
  }
  const alternatives = schema.anyOf ?? []
  const inner = alternatives.filter((alternative) => alternative.type !== 'null')
  if (alternatives.length > 0 && inner.length === 1)
    return { ...base, ...shapeOf(key, inner[0]!, true), ...named(base, inner[0]!) } as Field
  const word = inner.find((alternative) => typeof alternative.const === 'string')
  const object = inner.find((alternative) => alternative.type === 'object')
  if (word && object)
    return { ...base, kind: 'wordOrObject', word: String(word.const), fields: fieldsOf(object) }
  return { ...base, ...shapeOf(key, schema, false) } as Field
}

/** A nullable object keeps its own title when the wrapper has none. */
function named(base: FieldBase, inner: JsonSchema): Partial<FieldBase> {
  return base.description === '' && inner.description ? { description: inner.description } : {}
}

function shapeOf(key: string, schema: JsonSchema, nullable: boolean) {
  if (schema.oneOf) {
    const offered = schema.oneOf.filter((variant) => variant.hidden !== true)
    const discriminator = Object.entries(offered[0]?.properties ?? {}).find(
      ([, property]) => property.const !== undefined,
    )?.[0]
    if (discriminator === undefined)
      throw new Error(`${key}: a union needs a property that tells its members apart`)
    return {
      kind: 'variants',
      discriminator,
      variants: offered.map((variant) => ({
        value: String(variant.properties?.[discriminator]?.const),
        fields: fieldsOf(variant).filter((field) => field.key !== discriminator),
      })),
    }
  }
  if (schema.enum) return { kind: 'choice', options: schema.enum as (string | number)[] }
  switch (schema.type) {
    case 'object':
      return { kind: 'object', fields: fieldsOf(schema), nullable }
    case 'boolean':
      return { kind: 'flag' }
    case 'array':
      if (schema.items?.type === 'object') return { kind: 'list', fields: fieldsOf(schema.items) }
      return schema.items?.enum
        ? { kind: 'choices', options: schema.items.enum as string[] }
        : { kind: 'words', nullable }
    case 'integer':
    case 'number':
      return {
        kind: 'number',
        integer: schema.type === 'integer',
        minimum: schema.minimum ?? schema.exclusiveMinimum ?? null,
        maximum: schema.maximum ?? schema.exclusiveMaximum ?? null,
        nullable,
      }
    default:
      return { kind: 'text', nullable }
  }
}

/** A fresh object of the fields’ defaults; what has none is empty and will be asked for. */
export function initialValues(fields: readonly Field[]): Record<string, unknown> {
  return Object.fromEntries(fields.map((field) => [field.key, initialValue(field)]))
}

function initialValue(field: Field): unknown {
  if (field.kind === 'object' && !field.nullable)
    return { ...initialValues(field.fields), ...((field.initial as object | undefined) ?? {}) }
  if (field.initial !== undefined) return structuredClone(field.initial)
  if (field.kind === 'choice') return field.options[0]
  if (field.kind === 'list') return []
  if (field.kind === 'variants') {
    const [first] = field.variants
    return { [field.discriminator]: first?.value, ...initialValues(first?.fields ?? []) }
  }
  return field.kind === 'text' ? '' : null
}

/** The field at a path such as `data.source.task`; unions are resolved by what the configuration holds. */
export function fieldAt(config: unknown, path: string): Field | null {
  let fields: readonly Field[] = configFields
  let value: unknown = config
  let found: Field | null = null
  for (const key of path.split('.')) {
    found = fields.find((field) => field.key === key) ?? null
    if (!found) return null
    value = (value as Record<string, unknown> | null | undefined)?.[key]
    fields = childrenOf(found, value)
  }
  return found
}

/** What people call the setting at a path; the word that tells a union’s members apart takes the union’s title. */
export function settingTitle(config: unknown, path: string): string {
  const field = fieldAt(config, path)
  if (field) return field.title
  const parent = fieldAt(config, path.slice(0, Math.max(0, path.lastIndexOf('.'))))
  return parent?.kind === 'variants' ? parent.title : path
}

/** Fields inside a field, given its value. */
export function childrenOf(field: Field, value: unknown): readonly Field[] {
  if (field.kind === 'object' || field.kind === 'wordOrObject') return field.fields
  if (field.kind !== 'variants') return []
  const chosen = (value as Record<string, unknown> | null | undefined)?.[field.discriminator]
  return field.variants.find((variant) => variant.value === chosen)?.fields ?? []
}

const groupTitles: Record<string, string> = {
  run: 'Run',
  model: 'Model',
  data: 'Data',
  method: 'Method',
  parallel: 'Devices',
  optimizer: 'Optimiser',
  schedule: 'Schedule',
  training: 'Training',
  evaluation: 'Evaluation',
  spectra: 'Spectra',
  checkpoint: 'Checkpoints',
  export: 'Export',
  resources: 'Resources',
}

export function groupTitle(key: string): string {
  return groupTitles[key] ?? sentenceCase(key)
}

function sentenceCase(key: string): string {
  const words = key.replaceAll(/([A-Z])/g, ' $1').toLowerCase()
  return words.charAt(0).toUpperCase() + words.slice(1)
}
