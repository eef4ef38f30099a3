/** Whole runs on small models of our own making: without a tokenizer, with a head of their own. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RecordBody, type RecordBodyOf, runConfigSchema, targetModuleNames } from '@rankscope/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseConfig } from '../model/config.ts'
import { openModelFolder } from '../model/folder.ts'
import { headName, parameterSpecs } from '../model/parameters.ts'
import { writeModelFolder } from '../model/save.ts'
import { Random } from '../random.ts'
import { writeReferenceModel } from '../testing/reference-model.ts'
import { executeRun, RunControl } from './run.ts'

let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'rankscope-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

async function writeModel(name: string, changes: object = {}): Promise<string> {
  const config = parseConfig(
    {
      ...{ model_type: 'llama', hidden_size: 8, intermediate_size: 12, num_hidden_layers: 1 },
      ...{ num_attention_heads: 2, vocab_size: 20, eos_token_id: 2, ...changes },
    },
    'config.json',
  )
  const random = new Random(3)
  const values = new Map(
    parameterSpecs(config).map(({ name, shape }) => [
      name,
      random.fillNormal(new Float32Array(shape.reduce((product, size) => product * size, 1)), 0, 0.3),
    ]),
  )
  mkdirSync(join(root, name), { recursive: true })
  await writeModelFolder(join(root, name), config, (tensor) => values.get(tensor)!, 'F32')
  return join(root, name)
}

async function run(model: string, source: object, changes: object = {}) {
  const records: RecordBody[] = []
  const config = runConfigSchema.parse({
    model: { path: model },
    data: { source, maxLength: 32 },
    method: { name: 'lora', rank: 2 },
    targetModules: ['q_proj', 'o_proj', 'down_proj'],
    training: { globalBatchSize: 1, microBatchSize: 1, maxSteps: 2 },
    evaluation: { atEnd: false },
    spectra: { everySteps: null, atEnd: false },
    ...changes,
  })
  const outcome = await executeRun(config, {
    roots: { models: [], data: [], anywhere: true },
    folder: join(root, 'run'),
    cacheFolder: null,
    threads: 1,
    memoryBytes: null,
    checkpointFrom: null,
    control: new RunControl(),
    emit: (body) => void records.push(body),
  })
  const start = records.find((body): body is RecordBodyOf<'start'> => body.kind === 'start')
  const losses = records.flatMap((body) => (body.kind === 'scalars' ? (body.values['train/loss'] ?? []) : []))
  return { outcome, losses, warnings: start?.warnings ?? [] }
}

function writeTokens(): string {
  const file = join(root, 'tokens.jsonl')
  const input_ids = [1, 5, 9, 13, 4, 2]
  writeFileSync(file, `${JSON.stringify({ input_ids, labels: input_ids })}\n`)
  return file
}

describe('models', () => {
  it('need no tokenizer for data that are tokens, and one for all others', async () => {
    const model = await writeModel('bare')
    const { outcome, warnings } = await run(
      model,
      { kind: 'tokens', path: writeTokens(), evaluationPath: writeTokens() },
      { evaluation: { atEnd: true } },
    )
    expect(outcome).toMatchObject({ state: 'finished' })
    expect(warnings).toEqual([])
    const records = join(root, 'records.jsonl')
    writeFileSync(records, `${JSON.stringify({ question: 'q', answer: 'a' })}\n`)
    expect((await run(model, { kind: 'records', path: records })).outcome).toMatchObject({
      state: 'failed',
      error: {
        code: 'TOKENIZER_BROKEN',
        message: expect.stringContaining('tokenizer.json: the file is missing'),
      },
    })
  })

  it('with a head of their own beside tie_word_embeddings are exported untied, with that head', async () => {
    const model = await writeModel('own-head')
    const file = join(model, 'config.json')
    const config = JSON.parse(readFileSync(file, 'utf8'))
    writeFileSync(file, JSON.stringify({ ...config, tie_word_embeddings: true }))
    const head = (folder: string) => {
      const opened = openModelFolder(folder)
      return opened.read(opened.specs.find(({ name }) => name === headName)!)
    }
    const { warnings } = await run(
      model,
      { kind: 'tokens', path: writeTokens() },
      { export: { model: true } },
    )
    expect(warnings).toEqual([expect.stringContaining('exports are untied')])
    const exported = join(root, 'run', 'model')
    expect(JSON.parse(readFileSync(join(exported, 'config.json'), 'utf8')).tie_word_embeddings).toBe(false)
    expect(head(exported)).toEqual(head(model))
  })

  it.each([
    [
      'qwen3 with biases and windows',
      {
        model_type: 'qwen3',
        num_key_value_heads: 1,
        head_dim: 4,
        attention_bias: true,
        use_sliding_window: true,
        sliding_window: 3,
        layer_types: ['sliding_attention'],
      },
    ],
    [
      'llama with biases and YaRN',
      { attention_bias: true, mlp_bias: true, rope_scaling: { rope_type: 'yarn', factor: 2 } },
    ],
  ])('of another shape train and are exported as what they are: %s', async (name, changes) => {
    const model = await writeModel(name, changes)
    const { outcome } = await run(model, { kind: 'tokens', path: writeTokens() }, { export: { model: true } })
    expect(outcome).toMatchObject({ state: 'finished' })
    const [before, after] = [openModelFolder(model), openModelFolder(join(root, 'run', 'model'))]
    expect(after.config).toEqual(before.config)
    const changed = before.specs.filter((spec) => before.read(spec).join() !== after.read(spec).join())
    expect(changed.map((spec) => spec.name).sort()).toEqual(
      ['mlp.down_proj', 'self_attn.o_proj', 'self_attn.q_proj'].map(
        (path) => `model.layers.0.${path}.weight`,
      ),
    )
  })

  it.each<[string, object]>([
    ['full', {}],
    ['lora', { rank: 2 }],
    ['pissa', { rank: 2 }],
    ['hd-pissa', { rank: 2 }],
    ['dora', { rank: 2 }],
    ['mora', { rank: 2 }],
    ['hira', { rank: 2 }],
    ['lora-dwu', { rank: 2 }],
  ])('with biases start %s where the model stands, whatever it adapts', async (name, settings) => {
    const line = readFileSync(join(import.meta.dirname, '../model/reference.jsonl'), 'utf8')
      .split('\n')
      .find((text) => text.includes('attention and MLP bias'))!
    const { config, ids, loss } = JSON.parse(line) as { config: object; ids: number[]; loss: number }
    const model = await writeReferenceModel(join(root, `biased-${name}`), config)
    const file = join(root, 'reference-tokens.jsonl')
    writeFileSync(file, `${JSON.stringify({ input_ids: ids, labels: ids })}\n`)
    const { losses } = await run(
      model,
      { kind: 'tokens', path: file },
      { method: { name, ...settings }, targetModules: [...targetModuleNames] },
    )
    expect(Math.abs(losses[0]! - loss)).toBeLessThan(1e-4)
    expect(losses[1]).not.toBe(losses[0])
  })
})
