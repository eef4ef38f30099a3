/**
 * `npm run bundle:node`: one file that runs a node or a headless run on a machine that reaches no registry.
 *
 *     npm run bundle:node -- [--out rankscope-node.sh]
 *     sh rankscope-node.sh node --server URL --token T      there; likewise train, sweep, evaluate, export, spectra, fetch
 *
 * The file is a shell script with an archive behind it: this machine's Node, the programs of gpu-node as JavaScript with the packages
 * that they load, the kernels as sources, PTX and as built here, the built-in model. It unpacks itself once, and builds the
 * kernels where it finds a C compiler and the processor is another. It is for this platform and Node only.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { errorPayload } from '@rankscope/protocol'
import { layOut } from './bundle/layout.ts'
import { writeSelfExtracting } from './bundle/self-extracting.ts'

/** What is promised: small enough to be mailed about. */
const mostBytes = 60e6

export interface BundleOptions {
  readonly out: string
  /** 1 (quick) to 9 (small). */
  readonly level: number
  readonly say: (line: string) => void
}

/** Throws SETUP_MISSING where this machine’s Node cannot be taken along, or a tool is missing. */
export async function bundleNode({ out, level, say }: BundleOptions): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-bundle-'))
  try {
    say('making the programs …')
    await layOut(folder)
    say('packing …')
    await writeSelfExtracting(folder, out, level)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  const { size } = statSync(out)
  say(`${out}: ${(size / 1e6).toFixed(1)} MB`)
  if (size > mostBytes)
    say(`this is more than ${mostBytes / 1e6} MB: was Node stripped (is binutils installed)?`)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { values } = parseArgs({ options: { out: { type: 'string', default: 'rankscope-node.sh' } } })
  try {
    await bundleNode({ out: resolve(values.out), level: 9, say: (line) => console.log(line) })
  } catch (error) {
    const { code, message, hint } = errorPayload(error)
    console.error(`${code}: ${message}${hint ? `\n${hint}` : ''}`)
    process.exitCode = 1
  }
}
