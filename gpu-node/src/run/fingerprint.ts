/** What has to be equal on every host of a run before its ranks start: model, data, Open MPI and this program. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { RankscopeError, type RunConfig } from '@rankscope/protocol'
import type { Roots } from './environment.ts'
import { resolveDataPath, resolveModelPath } from './paths.ts'

/** By what a person would call it. */
export type Fingerprint = Readonly<Record<string, string>>

/** Reads every byte of the model and the data. Throws what naming them would. */
export async function fingerprintOf(config: RunConfig, roots: Roots): Promise<Fingerprint> {
  const found: Record<string, string> = { 'Open MPI': mpiVersion(), Rankscope: softwareVersion() }
  const model = resolveModelPath(config.model.path, roots)
  const files = readdirSync(model, { withFileTypes: true }).filter((entry) => !entry.isDirectory())
  for (const { name } of files) found[`the model’s ${name}`] = await hashOf(join(model, name))
  for (const path of dataPaths(config))
    found[`the data file ${path}`] = await hashOf(resolveDataPath(path, roots))
  return found
}

/** Throws HOSTS_DIFFER, which names what differs. */
export function requireEqual(own: Fingerprint, other: Fingerprint, host: string): void {
  const names = [...new Set([...Object.keys(own), ...Object.keys(other)])]
  const different = names.filter((name) => own[name] !== other[name])
  if (different.length === 0) return
  const told = different.slice(0, 5).map((name) => {
    if (other[name] === undefined) return `${name} (it has none)`
    if (own[name] === undefined) return `${name} (only it has one)`
    return name.startsWith('the ') ? name : `${name} (${own[name]} here, ${other[name]} there)`
  })
  throw new RankscopeError('HOSTS_DIFFER', `${host} differs from the host that leads in ${told.join(', ')}`, {
    hint: 'Copy the same files and install the same programs on every host; nothing was started.',
  })
}

/** Paths of data files anywhere in the configuration's data. What only rank 0 scores the run by is not among them. */
function dataPaths(config: RunConfig): string[] {
  const paths = new Set<string>()
  const visit = (value: unknown, key: string) => {
    if (typeof value === 'string' && /path$/i.test(key)) paths.add(value)
    else if (typeof value === 'object' && value !== null)
      for (const [name, inner] of Object.entries(value)) visit(inner, Array.isArray(value) ? key : name)
  }
  visit(config.data, '')
  return [...paths]
}

async function hashOf(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const part of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(part as Buffer)
  return hash.digest('hex')
}

function mpiVersion(): string {
  const { status, stdout } = spawnSync('mpirun', ['--version'], { encoding: 'utf8' })
  const version = /(\d+\.\d+\.\d+)/.exec(stdout ?? '')?.[1]
  if (status !== 0 || version === undefined)
    throw new RankscopeError('LAUNCHER_MISSING', 'mpirun of Open MPI is not found on this host', {
      hint: 'Install Open MPI, of one version on every host (Debian: openmpi-bin and libopenmpi-dev).',
    })
  return version
}

function softwareVersion(): string {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
