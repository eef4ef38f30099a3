import { existsSync, readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'
import { pathToFileURL } from 'node:url'

/**
 * From now on stacks of errors name the lines of the sources where they would name those of `file`. The map is read at
 * the first of them: Node’s own way reads the maps of all packages at once, a tenth of a second at each start.
 */
export function nameSourceLines(file) {
  // A bundle comes without maps.
  if (!existsSync(`${file}.map`)) return
  const url = pathToFileURL(file).href
  let map
  const named = (frame) =>
    frame.replace(`${url}:`, `${url} `).replace(/file:\S+ (\d+):(\d+)/, (_, line, column) => {
      map ??= new SourceMap(JSON.parse(readFileSync(`${file}.map`, 'utf8')))
      const { originalSource, originalLine, originalColumn } = map.findEntry(line - 1, column - 1)
      if (originalSource === undefined) return `${url}:${line}:${column}`
      return `${new URL(originalSource, url).href}:${originalLine + 1}:${originalColumn + 1}`
    })
  Error.prepareStackTrace = (error, frames) =>
    [String(error), ...frames.map((frame) => `    at ${named(String(frame))}`)].join('\n')
}
