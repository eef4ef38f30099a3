import { type SweepPoint, type SweepSpec, sweepSpecSchema } from '@rankscope/protocol'
import { describe, expect, it } from 'vitest'
import { addedRuns, expandSweep, pointKey, requireRuns } from './expand-sweep.ts'
import { readSweep } from './sweep-file.ts'

const base = { data: { source: { kind: 'task', task: 'arithmetic' } } }
const rates = { path: 'optimizer.learningRate', values: [1e-5, 1e-4] }
const sweep = (over: object): SweepSpec =>
  sweepSpecSchema.parse({ name: 'rates', base, axes: [rates], ...over })
const points = (spec: SweepSpec): SweepPoint[] => requireRuns(spec).map(({ point }) => point)

describe('the runs of a sweep', () => {
  it('are the grid of its axes: the last varies fastest, the seed slowest', () => {
    const spec = sweep({
      axes: [{ path: 'method', values: ['lora', 'pissa'] }, { path: 'seed', values: [1, 2] }, rates],
    })
    expect(points(spec)).toEqual(
      [1, 2].flatMap((seed) =>
        ['lora', 'pissa'].flatMap((method) =>
          [1e-5, 1e-4].map((rate) => ({ method, seed, 'optimizer.learningRate': rate })),
        ),
      ),
    )
  })

  it('have the settings of base, then the method’s own, then the axes', () => {
    const spec = sweep({
      base: {
        ...base,
        method: { name: 'lora', rank: 8, alpha: 4 },
        optimizer: { weightDecay: 0.1 },
        training: { globalBatchSize: 16 },
      },
      methods: { 'hd-pissa': { parallel: { devices: 4 }, method: { rank: 2 } } },
      axes: [{ path: 'method', values: ['lora', 'full', 'hd-pissa'] }, rates],
    })
    const configs = requireRuns(spec).map(({ config }) => config)
    expect(
      configs.map(({ method, parallel, optimizer }) => [
        method.name,
        'rank' in method ? method.rank : null,
        parallel.devices,
        optimizer.learningRate,
        optimizer.weightDecay,
      ]),
    ).toEqual([
      ['lora', 8, 1, 1e-5, 0.1],
      ['lora', 8, 1, 1e-4, 0.1],
      ['full', null, 1, 1e-5, 0.1],
      ['full', null, 1, 1e-4, 0.1],
      ['hd-pissa', 2, 4, 1e-5, 0.1],
      ['hd-pissa', 2, 4, 1e-4, 0.1],
    ])
    expect(configs[0]).toMatchObject({ group: 'rates', name: 'rates: lora, learningRate 1e-5' })
  })

  it('repeat no run for a setting that a method does not have', () => {
    const spec = sweep({
      axes: [
        { path: 'method', values: ['lora', 'full'] },
        { path: 'method.rank', values: [2, 4, 8] },
      ],
    })
    expect(points(spec)).toEqual([
      { method: 'lora', 'method.rank': 2 },
      { method: 'lora', 'method.rank': 4 },
      { method: 'lora', 'method.rank': 8 },
      { method: 'full' },
    ])
  })

  it('can be a sample of the grid: distinct, in the grid’s order, the same by the same seed', () => {
    const axes = [
      {
        path: 'optimizer.learningRate',
        values: Array.from({ length: 40 }, (_, index) => (index + 1) * 1e-5),
      },
    ]
    const spec = { base: { ...base, method: { name: 'lora' } }, axes }
    const draw = (seed: number) => points(sweep({ ...spec, sample: { points: 10, seed } }))
    expect(draw(1)).toHaveLength(10)
    expect(new Set(draw(1).map(pointKey)).size).toBe(10)
    expect(draw(1)).toEqual(draw(1))
    expect(draw(1)).not.toEqual(draw(2))
    const order = points(sweep(spec)).map(pointKey)
    const places = draw(1).map((point) => order.indexOf(pointKey(point)))
    expect(places).toEqual([...places].sort((one, other) => one - other))
  })

  it('grow by those that a further value brings, and no other', () => {
    const spec = sweep({ axes: [{ path: 'method', values: ['lora', 'pissa'] }, rates] })
    const longer = sweep({
      axes: [
        { path: 'method', values: ['lora', 'pissa'] },
        { ...rates, values: [1e-5, 1e-4, 1e-3] },
      ],
    })
    expect(addedRuns(longer, points(spec)).map(({ point }) => point)).toEqual([
      { method: 'lora', 'optimizer.learningRate': 1e-3 },
      { method: 'pissa', 'optimizer.learningRate': 1e-3 },
    ])
  })

  it('are none while a setting cannot be run, and the refusal says which', () => {
    const spec = sweep({ axes: [{ path: 'method', values: ['lora', 'lore'] }, rates] })
    const { runs, findings } = expandSweep(spec)
    expect(runs).toEqual([])
    expect(findings.some(({ severity, point }) => severity === 'error' && point['method'] === 'lore')).toBe(
      true,
    )
    expect(() => requireRuns(spec)).toThrow(/lore, learningRate 1e-5: method/)
    expect(() =>
      requireRuns(
        sweep({
          axes: [
            { path: 'optimizer.learningRat', values: [1] },
            { path: 'method', values: ['lora'] },
          ],
        }),
      ),
    ).toThrow(/learningRat/)
    expect(() => requireRuns(sweep({ axes: [rates, rates] }))).toThrow(/two axes set optimizer.learningRate/)
  })
})

describe('a sweep in a file', () => {
  it('may say the values of an axis in words', () => {
    const spec = readSweep(
      { name: 'a', base, axes: [{ path: 'optimizer.learningRate', values: '1e-5…1e-3 log 3' }] },
      'sweep.json',
    )
    expect(spec.axes).toEqual([{ path: 'optimizer.learningRate', values: [1e-5, 1e-4, 1e-3] }])
  })

  it('is refused with the file and the axis that is wrong', () => {
    expect(() =>
      readSweep({ name: 'a', base, axes: [{ path: 'seed', values: '5…1' }] }, 'sweep.json'),
    ).toThrow(/sweep.json: axis seed: “5…1”/)
    expect(() => readSweep({ name: 'a', base, axes: [], extra: 1 }, 'sweep.json')).toThrow(/sweep.json/)
  })
})
