import { describe, expect, it } from 'vitest'
import { captionOf } from './caption.ts'
import { chartThemes, type LineCurve, type LineFigure, type PlotlyFigure } from './figure.ts'
import { asPicture } from './picture.ts'
import { forPrint } from './print.ts'

const curve = (runId: string, label: string, colour: string): LineCurve => ({
  runId,
  label,
  colour,
  dash: 'solid',
  markers: false,
  x: Float64Array.of(1, 2),
  y: Float64Array.of(3, 4),
  called: null,
  raw: null,
  misfits: [],
})
const lineAxis = {
  title: 'step',
  log: false,
  range: [0, 3] as [number, number],
  ticks: 'number' as const,
  format: String,
}
const figure: LineFigure = {
  kind: 'lines',
  curves: [curve('a', 'lora-one', '#4ba3e3'), curve('b', 'pissa-two', '#f2a93b')],
  bands: [],
  xAxis: lineAxis,
  yAxis: lineAxis,
  marks: [],
  levels: [],
  drawnPoints: 4,
  totalPoints: 4,
  notes: ['one step was left out'],
  empty: null,
  table: () => [],
}

describe('a saved chart', () => {
  it('has a caption that names title, runs, their number, module and step, and what its notes say', () => {
    expect(captionOf('Spectrum of ΔW', figure, ['module q_proj', 'step 96'])).toBe(
      'Spectrum of ΔW: lora-one; pissa-two, n = 2 runs, module q_proj, step 96, one step was left out.',
    )
  })
  it('names eight, and says how many more there are', () => {
    const curves = Array.from({ length: 10 }, (_, index) => curve(String(index), `run-${index}`, '#4ba3e3'))
    expect(captionOf('Loss', { ...figure, curves, notes: [] })).toMatch(/run-7 and 2 more, n = 10 runs\.$/)
  })
  it('for print has the colours of the light scheme, opacity kept, numbers untouched', () => {
    const dark = asPicture(figure, chartThemes.dark)
    const { traces, layout } = forPrint(dark)
    const light = JSON.stringify({ traces, layout })
    expect(light).toContain('#0072b2')
    for (const ink of ['#4ba3e3', '#f2a93b', chartThemes.dark.text, chartThemes.dark.grid])
      expect(light).not.toContain(ink)
    expect((forPrint(dark).traces[0] as { x: unknown }).x).toBe(figure.curves[0]!.x)
    const filled = { ...dark, traces: [{ fillcolor: '#4ba3e333' }] } as unknown as PlotlyFigure
    expect(forPrint(filled).traces).toEqual([{ fillcolor: '#0072b233' }])
  })
})
