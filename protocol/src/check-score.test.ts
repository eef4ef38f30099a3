/** A configuration that asks for a score names what to score on. */
import { describe, expect, it } from 'vitest'
import { checkRunConfig, requireConsistent, runConfigSchema } from './index.ts'

const findings = (source: object, evaluation: object = {}, data: object = {}) =>
  checkRunConfig(
    runConfigSchema.parse({ data: { source, ...data }, evaluation, method: { name: 'lora' } }),
  ).map(({ severity, path, message }) => `${severity} ${path}: ${message}`)

const records = { kind: 'records', path: 'train.json' }
const nothing = expect.stringMatching(/^error data.source.evaluationPath: .* nothing to score on$/)

describe('nothing to score on', () => {
  it.each([
    ['evaluation.atStart', records, { atStart: true }],
    ['evaluation.everySteps', { kind: 'text', path: 'a.txt' }, { everySteps: 5 }],
    ['evaluation.everySteps', { kind: 'tokens', path: 'a.jsonl' }, { everySteps: 5, atEnd: false }],
    ['the scorer gsm8k', { ...records, scorer: 'gsm8k' }, {}],
    [
      'the scorer commonsense',
      { kind: 'mix', sources: [{ source: records }, { source: { ...records, scorer: 'commonsense' } }] },
      {},
    ],
  ])('is refused where %s asks for a score', (asking, source, evaluation) => {
    const found = findings(source, evaluation)
    expect(found).toEqual([nothing])
    expect(found[0]).toMatch(asking)
    const config = runConfigSchema.parse({ data: { source }, evaluation, method: { name: 'lora' } })
    expect(() => requireConsistent(config)).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        hint: expect.stringMatching('test or validation file'),
      }),
    )
  })

  it('is told where only the default would evaluate at the end, and no matter where nothing is asked', () => {
    expect(findings(records)).toEqual([
      expect.stringMatching(/^warning evaluation.atEnd: .*without a score$/),
    ])
    expect(findings(records, { atEnd: false })).toEqual([])
    expect(findings({ ...records, scorer: 'math' }, { atEnd: false })).toEqual([])
  })

  it('does not hold where benchmarks are named, each once', () => {
    const named = (...names: string[]) => names.map((name) => ({ name, path: `${name}.jsonl` }))
    const asked = { atStart: true, benchmarks: named('math', 'mbpp') }
    expect(findings({ ...records, scorer: 'gsm8k' }, asked)).toEqual([])
    expect(findings(records, { benchmarks: named('math', 'mbpp', 'math') })).toEqual([
      'error evaluation.benchmarks: MATH is named twice',
    ])
    expect(findings(records, { atEnd: false, benchmarks: named('math') })).toEqual([
      expect.stringMatching(/^warning evaluation.benchmarks: has no effect/),
    ])
  })

  it('of a benchmark may be taken by each protocol once; programs alone are sampled, and k at most as many', () => {
    const both = [
      { name: 'gsm8k', path: 'g', protocol: 'pissa' },
      { name: 'gsm8k', path: 'g', protocol: 'lm-eval', trainPath: 't' },
    ]
    const gsm8k = { ...records, scorer: 'gsm8k' }
    expect(findings(gsm8k, { benchmarks: both })).toEqual([])
    expect(findings(gsm8k, { benchmarks: [{ ...both[0], trainPath: 't' }] })).toEqual([
      expect.stringMatching(/^warning evaluation.benchmarks: a training split has no effect/),
    ])
    expect(findings(gsm8k, { benchmarks: both, sampling: {} })).toEqual([
      expect.stringMatching(/^warning evaluation.sampling: has no effect/),
    ])
    const mbpp = [{ name: 'mbpp', path: 'm' }]
    expect(findings(gsm8k, { benchmarks: mbpp, sampling: { completions: 4 } })).toEqual([
      'error evaluation.sampling.passAt: pass@10 needs at least 10 completions, and there are 4',
    ])
  })

  it('does not hold where there is a test file, a validation file, a held-back share, or a task', () => {
    const asked = { atStart: true, everySteps: 3 }
    for (const source of [
      { ...records, scorer: 'gsm8k', evaluationPath: 'test.json' },
      { ...records, scorer: 'gsm8k', validationPath: 'validation.json' },
      { kind: 'task', task: 'arithmetic' },
      { kind: 'mix', sources: [{ source: records }, { source: { kind: 'task', task: 'choice' } }] },
    ])
      expect(findings(source, asked)).toEqual([])
    expect(findings({ ...records, scorer: 'gsm8k' }, asked, { validationShare: 0.1 })).toEqual([])
  })
})
