/** Markdown that measurements write into docs: tables, and sections that a later run replaces. */

/** A table; columns but the first are aligned to the right, unless `text` says that they hold words. */
export function markdownTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  text: readonly number[] = [0],
): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [
    line(header),
    line(header.map((_, i) => (text.includes(i) ? '---' : '--:'))),
    ...rows.map(line),
  ].join('\n')
}

/** Two significant digits, e.g. 5.7e-5; 0 stays 0. */
export function scientific(value: number): string {
  return value === 0 ? '0' : value.toExponential(1)
}

/** 0.137 → 14 %; below one per cent with the digits that it needs. */
export function percent(share: number): string {
  const value = share * 100
  return `${value >= 10 ? value.toFixed(0) : value >= 0.1 ? value.toFixed(1) : value.toPrecision(1)} %`
}
