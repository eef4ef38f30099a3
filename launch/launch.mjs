/**
 * Starts a TypeScript module of this repository, as a process or as a thread:
 *
 *     node launch/launch.mjs FILE.ts [arguments of FILE.ts]
 *     new Worker(launcher, { workerData: { entry: url of FILE.ts, … } })
 *
 * FILE.ts and all that it imports of the repository become one JavaScript file (bundle.mjs), kept under
 * node_modules/.cache and made anew when a source has changed: nobody has to build anything, and nothing stale can run.
 * It loads in a third of the processor time that a loader takes for the sources one by one, which counts where a
 * comparison starts a dozen processes and threads at once.
 */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { basename, join, relative, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { isMainThread, workerData } from 'node:worker_threads'
import { preparedName } from './prepared.mjs'
import { nameSourceLines } from './source-lines.mjs'
import { stampOf } from './stamp.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

if (isMainThread && process.argv.length < 3) {
  console.error('usage: node launch/launch.mjs FILE.ts [arguments]')
  process.exit(2)
}
const entry = isMainThread ? resolve(process.argv[2]) : fileURLToPath(workerData.entry)
// The module finds its own name and arguments where it would if Node could load it.
if (isMainThread) process.argv.splice(1, 2, entry)
const file = prepared() ?? upToDate() ?? (await bundled())
nameSourceLines(file)
await import(pathToFileURL(file).href)

/** Where this folder came without sources (npm run bundle:node): what was made of them. */
function prepared() {
  const file = join(root, 'launch/prepared', preparedName(relative(root, entry)))
  return existsSync(file) ? file : null
}

/** The file made of the sources as they are now; null where there is none. */
function upToDate() {
  try {
    const { output, inputs } = JSON.parse(readFileSync(`${stem()}.json`, 'utf8'))
    const isSame = inputs.every(([file, stamp]) => stampOf(file) === stamp)
    return isSame && existsSync(output) ? output : null
  } catch {
    return null
  }
}

async function bundled() {
  const { bundle } = await import('./bundle.mjs')
  return bundle(root, entry, stem())
}

/** Path of what is kept of `entry`, without the endings. */
function stem() {
  const key = createHash('sha256').update(entry).digest('hex').slice(0, 8)
  return join(root, 'node_modules/.cache/rankscope', `${basename(entry, '.ts')}-${key}`)
}
