/** The Chromium of the browser tests: RANKSCOPE_CHROMIUM, or the one of the system. */
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

export function findChromium(): string | null {
  const chosen = process.env['RANKSCOPE_CHROMIUM']
  if (chosen !== undefined && chosen !== '') return chosen
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const found = ['chromium', 'chromium-browser', 'google-chrome'].flatMap((name) =>
    folders.map((folder) => join(folder, name)).filter((file) => existsSync(file)),
  )
  return found[0] ?? null
}
