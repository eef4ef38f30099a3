import { describe, expect, it } from 'vitest'
import { toCsv, toLatex, toMarkdown } from './tables.ts'

const table = {
  columns: ['Method', 'Accuracy'],
  rows: [
    ['HD-PiSSA (sum, K = 4)', '93.8 ± 1.2 %'],
    ['a|b_c & "d", e', '−1'],
  ],
  numeric: [false, true],
  caption: '3 seeds, 50 % of #1',
}

describe('a table as one writes it', () => {
  it('in Markdown', () => {
    expect(toMarkdown(table)).toBe(
      '| Method | Accuracy |\n| --- | ---: |\n| HD-PiSSA (sum, K = 4) | 93.8 ± 1.2 % |\n| a\\|b_c & "d", e | −1 |\n\n3 seeds, 50 % of #1\n',
    )
  })
  it('in LaTeX, every special character escaped', () => {
    const text = toLatex(table)
    expect(text).toContain('\\caption{3 seeds, 50 \\% of \\#1}')
    expect(text).toContain(
      '\\begin{tabular}{lr}\n\\toprule\nMethod & Accuracy \\\\\n\\midrule\nHD-PiSSA (sum, K = 4) & 93.8 $\\pm$ 1.2 \\% \\\\',
    )
    expect(text).toContain('a|b\\_c \\& "d", e & $-$1 \\\\\n\\bottomrule')
  })
  it('in CSV, quoted, and never a formula', () => {
    expect(
      toCsv({
        columns: ['a', 'b'],
        rows: [
          ['x,"y"', '-1.5'],
          ['=cmd()', '@x'],
        ],
      }),
    ).toBe('a,b\r\n"x,""y""",-1.5\r\n\'=cmd(),\'@x\r\n')
  })
})
