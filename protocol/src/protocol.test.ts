import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  acceptedCommands,
  canTransition,
  checkRunConfig,
  comparison,
  fromFloat64Bytes,
  fromJsonNumber,
  methodNames,
  methodSchemas,
  rankMarks,
  runConfigJsonSchema,
  runConfigSchema,
  runRecordSchema,
  runStates,
  toFloat64Bytes,
  toJsonNumber,
} from './index.ts'

const data = { source: { kind: 'task', task: 'arithmetic' } }

describe('RunConfig', () => {
  it('fills in every default from the least that a person must say', () => {
    const config = runConfigSchema.parse({ data, method: { name: 'hd-pissa' } })
    expect(config.method).toMatchObject({
      name: 'hd-pissa',
      rank: 16,
      alpha: null,
      aggregate: 'mean',
      adapters: 'fixed',
      mute: 'exact',
    })
    expect(config.optimizer).toMatchObject({ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 })
    expect(config.targetModules).toHaveLength(7)
  })

  it('refuses an unknown key instead of ignoring it', () => {
    const result = runConfigSchema.safeParse({ data, method: { name: 'lora', rnak: 4 } })
    expect(result.success).toBe(false)
  })

  it.each(methodNames)('is idempotent for %s: parsing a parsed configuration changes nothing', (name) => {
    const once = runConfigSchema.parse({ data, method: { name } })
    expect(runConfigSchema.parse(once)).toEqual(once)
  })

  it('gives every hyperparameter of every method a title and a sentence', () => {
    for (const [name, schema] of Object.entries(methodSchemas)) {
      for (const [key, field] of Object.entries(schema.shape)) {
        if (key === 'name') continue
        expect(field.meta()?.description, `${name}.${key}`).toMatch(/\.$/)
        expect(field.meta()?.title, `${name}.${key}`).toBeTruthy()
      }
    }
  })

  it('has a JSON Schema that keeps titles and units', () => {
    expect(JSON.stringify(runConfigJsonSchema())).toContain('"unit":"examples"')
  })

  it('reports a batch that does not divide over devices, with the multiple to take', () => {
    const config = runConfigSchema.parse({
      data,
      method: { name: 'lora' },
      parallel: { devices: 3 },
      training: { globalBatchSize: 16 },
    })
    expect(checkRunConfig(config)[0]).toMatchObject({
      severity: 'error',
      path: 'training.globalBatchSize',
      hint: 'take a multiple of 6',
    })
  })

  it('refuses the floor division of alpha that would silently train nothing', () => {
    const config = runConfigSchema.parse({
      data,
      method: { name: 'hd-pissa', rank: 16, alpha: 8, legacyFloorAlpha: true },
    })
    expect(
      checkRunConfig(config).some(
        (finding) => finding.severity === 'error' && finding.path === 'method.alpha',
      ),
    ).toBe(true)
  })

  it('says where gathering constant adapters has no effect, and nowhere else', () => {
    const found = (method: string, parallel: object) =>
      checkRunConfig(
        runConfigSchema.parse({ data, method: { name: method }, parallel, training: { globalBatchSize: 8 } }),
      )
        .filter(({ path }) => path === 'parallel.regatherAdapters')
        .map(({ severity, message }) => `${severity}: ${message}`)
    const processes = { devices: 2, mode: 'processes', regatherAdapters: true }
    expect(found('hd-pissa', processes)).toEqual([])
    expect(found('lora', processes)).toEqual([expect.stringContaining('only HD-PiSSA')])
    expect(found('hd-pissa', { ...processes, mode: 'virtual' })).toEqual([
      expect.stringContaining('virtual devices'),
    ])
    expect(found('hd-pissa', { ...processes, devices: 1 })).toEqual([expect.stringContaining('one device')])
    expect(found('lora', { devices: 2 })).toEqual([])
  })

  it('makes a consistent comparison preset', () => {
    for (const config of comparison('test'))
      expect(checkRunConfig(config).filter((finding) => finding.severity === 'error')).toEqual([])
  })
})

describe('rank marks', () => {
  it('draws r, 2r, Kr, 2Kr for HD-PiSSA and joins equal ones', () => {
    const method = runConfigSchema.parse({ data, method: { name: 'hd-pissa', rank: 4 } }).method
    expect(rankMarks(method, 4, 1000).map((mark) => [mark.label, mark.rank])).toEqual([
      ['r', 4],
      ['2r', 8],
      ['Kr', 16],
      ['2Kr', 32],
    ])
    expect(rankMarks(method, 2, 1000).map((mark) => mark.label)).toEqual(['r', '2r = Kr', '2Kr'])
    expect(rankMarks(method, 4, 16).map((mark) => mark.label)).toEqual(['r', '2r'])
  })

  it('bounds the intermediate method by 2Kr however often its devices meet', () => {
    for (const syncEvery of [null, 1, 10]) {
      const { method } = runConfigSchema.parse({ data, method: { name: 'intermediate', rank: 4, syncEvery } })
      expect(rankMarks(method, 4, 1000).at(-1)).toEqual({ label: '2Kr', rank: 32, bound: true })
    }
  })
})

describe('run states', () => {
  it('lets no state change into itself and nothing leave finished', () => {
    for (const state of runStates) expect(canTransition(state, state)).toBe(false)
    for (const state of runStates) expect(canTransition('finished', state)).toBe(false)
  })
  it('offers commands only where something can come of them', () => {
    expect(acceptedCommands('finished')).toEqual([])
    expect(acceptedCommands('running')).toContain('stop')
  })
})

describe('numbers on the wire', () => {
  it('carry every double through JSON and through bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.double()), (values) => {
        expect([...fromFloat64Bytes(toFloat64Bytes(values))]).toEqual(values)
        for (const value of values)
          expect(fromJsonNumber(JSON.parse(JSON.stringify(toJsonNumber(value))))).toEqual(
            Object.is(value, -0) ? 0 : value,
          )
      }),
    )
  })
  it('are read from bytes at an odd offset', () => {
    const padded = new Uint8Array(5 + 16)
    padded.set(toFloat64Bytes([1.5, Number.NaN]), 5)
    expect([...fromFloat64Bytes(padded.subarray(5))]).toEqual([1.5, Number.NaN])
  })
  it('keep a NaN loss valid in a record', () => {
    const record = {
      runId: 'a',
      attempt: 1,
      seq: 1,
      timeMs: 0,
      body: { kind: 'scalars', step: 1, values: { 'train/loss': Number.NaN } },
    }
    expect(runRecordSchema.parse(record).body).toEqual(record.body)
  })
})
