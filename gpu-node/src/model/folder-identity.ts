/** Which files a model's folder holds now, told without reading gigabytes: a changed one has another time of change. */
import { readdirSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'

export function folderIdentity(folder: string): string {
  const path = realpathSync(folder)
  const files = readdirSync(path).sort()
  return JSON.stringify([
    path,
    ...files.map((name) => {
      const { size, mtimeMs, ctimeMs } = statSync(join(path, name))
      return [name, size, mtimeMs, ctimeMs]
    }),
  ])
}
