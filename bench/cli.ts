/**
 * `npm run bench -- NAME [options]`: runs one of the measurements in this folder.
 *
 * A measurement is a file beside this one whose first comment begins with its own command line and what it is for:
 * `npm run bench -- NAME`, a colon, one sentence. The list that --help prints is read from there.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** Name and purpose of every measurement. */
function measurements(): Map<string, string> {
  const files = readdirSync(import.meta.dirname).filter((file) => file.endsWith('.ts'))
  return new Map(
    files.sort().flatMap((file): [string, string][] => {
      const name = basename(file, '.ts')
      const purpose = purposeOf(readFileSync(join(import.meta.dirname, file), 'utf8'), name)
      return purpose === null ? [] : [[name, purpose]]
    }),
  )
}

/** The first sentence after the command line in a file's opening comment, or null where there is none. */
function purposeOf(source: string, name: string): string | null {
  const comment = source.match(/^\/\*\*([\s\S]*?)\*\//)?.[1] ?? ''
  const prose = comment.replace(/^\s*\*?\s*/gm, ' ').replace(/\s+/g, ' ')
  const [, purpose] = prose.match(new RegExp(`^ \`npm run bench -- ${name}\`: (.*?\\.)(?: |$)`)) ?? []
  return purpose ?? null
}

function help(known: ReadonlyMap<string, string>): string {
  const width = Math.max(...[...known.keys()].map((name) => name.length))
  const lines = [...known].map(([name, purpose]) => `  ${name.padEnd(width)}  ${purpose}`)
  return `usage: npm run bench -- NAME [options]\n\n${lines.join('\n')}\n\nnpm run bench -- NAME --help shows the options of one that has any.`
}

const [name, ...options] = process.argv.slice(2)
const known = measurements()
if (name === undefined || name === '--help' || name === '-h') console.log(help(known))
else if (!known.has(name)) {
  console.error(`there is no measurement ${name}\n\n${help(known)}`)
  process.exitCode = 2
} else {
  const file = join(import.meta.dirname, `${name}.ts`)
  // The measurement reads its own options as if it had been started by itself.
  process.argv = [process.argv[0]!, file, ...options]
  await import(pathToFileURL(file).href)
}
