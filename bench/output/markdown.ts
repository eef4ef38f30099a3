/** Markdown that measurements write into docs: tables, and sections that a later run replaces. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'

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

/** 0.137 → 14 %; near 0 and near 1 with the digits that tell it from them: 0.0002 → 0.02 %, 0.9998 → 99.98 %. */
export function percent(share: number): string {
  const value = share * 100
  if (value > 99 && value < 100) return `${Number((100 - Number((100 - value).toPrecision(1))).toFixed(6))} %`
  return `${value >= 10 ? value.toFixed(0) : value >= 0.1 ? value.toFixed(1) : Number(value.toPrecision(1))} %`
}

/** A learning rate as people write it: 2e-5. */
export function rate(value: number): string {
  return value.toExponential()
}

/**
 * Puts `content` between the comments `<!-- name: begin … -->` and `<!-- name: end -->` of a page, so that what people
 * wrote around it stays. Throws where the page has no such pair.
 */
export function replaceSection(file: string, name: string, content: string): void {
  const page = existsSync(file) ? readFileSync(file, 'utf8') : ''
  const pattern = new RegExp(`(<!-- ${name}: begin[^>]*-->\n)[\\s\\S]*?(<!-- ${name}: end -->)`)
  if (!pattern.test(page))
    throw new Error(`${file} has no section <!-- ${name}: begin --> … <!-- ${name}: end -->`)
  // A function, since $ in a replacement text would be read as a reference.
  writeFileSync(
    file,
    page.replace(pattern, (_, begin: string, end: string) => `${begin}\n${content.trim()}\n\n${end}`),
  )
}
