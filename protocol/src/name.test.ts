import { describe, expect, it } from 'vitest'
import { updateRunBody } from './api.ts'
import { idSchema, nameFault, nameSchema } from './name.ts'
import { nodeHelloSchema } from './node-events.ts'
import { runConfigSchema } from './run-config.ts'

const refused: [string, string][] = [
  ['NUL', 'a\0b'],
  ['a line break', 'a\nb'],
  ['an escape sequence', '\u001b[31mred'],
  ['DEL and C1', 'a\u007f\u009fb'],
  ['a lone surrogate', 'a\ud800b'],
  ['a lone low surrogate', '\udc00'],
  ['an override of direction', 'gpj.\u202eexe'],
  ['an isolate', 'a\u2066b'],
  ['a mark of direction', 'a\u200fb'],
  ['a line separator', 'a\u2028b'],
  ['spaces only', '   '],
  ['nothing to see', '\u200b\u200d'],
  ['the prototype', '__proto__'],
]

describe('names', () => {
  it.each(refused)('with %s are refused wherever a name is taken', (_, name) => {
    expect(nameFault(name)).not.toBeNull()
    const config = { data: { source: { kind: 'text', path: 'a.txt' } }, method: { name: 'lora' } }
    const configs = [
      { ...config, name },
      { ...config, group: name },
      { ...config, tags: [name] },
      { ...config, model: { path: name } },
      { ...config, spectra: { modules: [name] } },
      { ...config, data: { source: { kind: 'records', path: name } } },
      { ...config, data: { source: { kind: 'tokens', path: 'a', evaluationPath: name } } },
      {
        ...config,
        data: { source: { kind: 'records', path: 'a', fields: { instruction: name, output: 'b' } } },
      },
    ]
    for (const wrong of configs) expect(runConfigSchema.safeParse(wrong).success).toBe(false)
    expect(runConfigSchema.safeParse(config).success).toBe(true)
    expect(updateRunBody.safeParse({ name }).success).toBe(false)
    expect(updateRunBody.safeParse({ tags: [name] }).success).toBe(false)
    expect(nodeHelloSchema.shape.name.safeParse(name).success).toBe(false)
    expect(nodeHelloSchema.shape.hostname.safeParse(name).success).toBe(false)
  })

  it.each(['said, "aloud"', 'ΔW 🚀 of día 3', 'ألفا', '東京', 'constructor', 'a\u200db', '-'])(
    'like %s are taken as they are',
    (name) => expect(nameSchema(120).parse(name)).toBe(name),
  )

  it('of megabytes are refused by their length, without being looked through', () => {
    const result = nameSchema(120).safeParse('\0'.repeat(4 * 2 ** 20))
    expect(result.error?.issues.map(({ code }) => code)).toEqual(['too_big'])
  })

  it('that identify lead nowhere as a folder', () => {
    for (const id of ['..', '.', 'a/b', 'a\\b', '', 'a b', 'x'.repeat(65)])
      expect(idSchema.safeParse(id).success, id).toBe(false)
    expect(idSchema.safeParse('k3J_x-9.a:b').success).toBe(true)
  })
})
