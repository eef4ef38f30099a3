/** Why tests were skipped: they say so in their names, as `skipped: <reason>`, or in those of the groups around them. */

/** A file of vitest's JSON report, as far as it is read here. */
export interface UnitFile {
  assertionResults: { status: string; title: string; ancestorTitles: string[] }[]
}

/** One reason for each test that did not run. */
export function unitSkipReasons(files: readonly UnitFile[]): string[] {
  return files.flatMap(({ assertionResults }) =>
    assertionResults
      .filter(({ status }) => status !== 'passed' && status !== 'failed')
      .map(({ title, ancestorTitles }) => reasonIn([title, ...ancestorTitles.toReversed()])),
  )
}

function reasonIn(titles: readonly string[]): string {
  for (const title of titles) {
    const [, reason] = /skipped: (.*?)\)?$/.exec(title.trim()) ?? []
    if (reason) return reason
  }
  return 'no reason in its name'
}
