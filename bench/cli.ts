/**
 * `npm run bench -- NAME [options]`: runs one of the measurements in this folder.
 *
 * A measurement is a file beside this one whose first comment begins with its own command line and what it is for:
 * `npm run bench -- NAME`, a colon, one sentence. The list that --help prints is read from there, and NAME --help
 * prints the whole comment, options included.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { launchCommand, runBelow } from '@rankscope/launch'

interface Measurement {
  readonly file: string
  /** What it is for, in one sentence. */
  readonly purpose: string
  /** The whole opening comment, as text. */
  readonly description: string
}

function measurements(): Map<string, Measurement> {
  const names = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.ts'))
  return new Map(
    names.sort().flatMap((name): [string, Measurement][] => {
      const measurement = readMeasurement(join(import.meta.dirname, name))
      return measurement ? [[basename(name, '.ts'), measurement]] : []
    }),
  )
}

/** Null for a file that is no measurement. */
function readMeasurement(file: string): Measurement | null {
  const comment = readFileSync(file, 'utf8').match(/^\/\*\*([\s\S]*?)\*\//)?.[1] ?? ''
  const description = comment.replace(/^ \* ?/gm, '').trim()
  const command = `\`npm run bench -- ${basename(file, '.ts')}\`: `
  const purpose = description.slice(command.length).match(/^.*?\.(?=\s|$)/s)?.[0]
  if (purpose === undefined || !description.startsWith(command)) return null
  return { file, purpose: purpose.replace(/\s+/g, ' '), description }
}

function help(known: ReadonlyMap<string, Measurement>): string {
  const width = Math.max(...[...known.keys()].map((name) => name.length))
  const lines = [...known].map(([name, { purpose }]) => `  ${name.padEnd(width)}  ${purpose}`)
  return `usage: npm run bench -- NAME [options]\n\n${lines.join('\n')}\n\nnpm run bench -- NAME --help tells more about one.`
}

const [name, ...options] = process.argv.slice(2)
const known = measurements()
const chosen = known.get(name ?? '')
if (name === undefined || name === '--help' || name === '-h') console.log(help(known))
else if (!chosen) {
  console.error(`there is no measurement ${name}\n\n${help(known)}`)
  process.exitCode = 2
} else if (options.includes('--help') || options.includes('-h')) console.log(chosen.description)
else {
  process.exitCode = (await runBelow(launchCommand(pathToFileURL(chosen.file), ...options))).code
}
