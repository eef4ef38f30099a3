/** Which installed packages a workspace needs to run, by the lock file. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'

const packageSchema = z.object({
  link: z.boolean().optional(),
  resolved: z.string().optional(),
  dependencies: z.record(z.string(), z.string()).default({}),
  optionalDependencies: z.record(z.string(), z.string()).default({}),
})
const lockSchema = z.object({ packages: z.record(z.string(), packageSchema) })

/** Not loaded where everything is made beforehand, for another C library, or of no use without a window. */
const leftOut =
  /^node_modules\/(@types\/|esbuild$|@esbuild\/|zod$|@rankscope\/|webgpu|@webgpu|@tensorflow\/tfjs-backend-webgpu)|-musl$/

/** Folders below `root`, e.g. `node_modules/koffi`, sorted; only those that are installed. */
export function productionPackages(root: string, workspace: string): string[] {
  const { packages } = lockSchema.parse(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')))
  const found = new Set<string>()
  const walk = (place: string): void => {
    const entry = packages[place]
    if (!entry || found.has(place) || leftOut.test(place)) return
    if (entry.link) {
      walk(entry.resolved!)
      return
    }
    found.add(place)
    for (const name of Object.keys({ ...entry.dependencies, ...entry.optionalDependencies })) {
      const needed = nearest(place, name)
      if (needed) walk(needed)
    }
  }
  /** Where Node finds a package that is imported from `place`. */
  const nearest = (place: string, name: string): string | undefined => {
    for (let folder = place; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))) {
      const candidate = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`
      if (packages[candidate]) return candidate
      if (folder === '') return undefined
    }
  }
  for (const name of ['protocol', 'experiments', 'launch', workspace]) walk(name)
  return [...found]
    .filter((place) => place.startsWith('node_modules/') && existsSync(join(root, place)))
    .sort()
}
