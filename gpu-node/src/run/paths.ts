/** Paths of a configuration, looked up inside the folders that a node's owner allowed and nowhere else. */
import { existsSync, realpathSync } from 'node:fs'
import { isAbsolute, relative, resolve, sep } from 'node:path'
import { type ErrorCode, RankscopeError } from '@rankscope/protocol'
import type { Roots } from './environment.ts'

/** The model's folder. Throws MODEL_NOT_FOUND or PATH_FORBIDDEN. */
export function resolveModelPath(path: string, roots: Roots): string {
  return resolveInside(path, roots.models, roots.anywhere, 'MODEL_NOT_FOUND', 'model.path')
}

/** A data file. Throws DATA_NOT_FOUND or PATH_FORBIDDEN. */
export function resolveDataPath(path: string, roots: Roots): string {
  return resolveInside(path, roots.data, roots.anywhere, 'DATA_NOT_FOUND', 'data.source.path')
}

function resolveInside(
  path: string,
  roots: readonly string[],
  anywhere: boolean,
  absent: ErrorCode,
  setting: string,
): string {
  const candidates: { root: string | null; full: string }[] = isAbsolute(path)
    ? [{ root: null, full: resolve(path) }]
    : roots.map((root) => ({ root, full: resolve(root, path) }))
  if (anywhere && !isAbsolute(path)) candidates.unshift({ root: null, full: resolve(path) })
  // What leads outside is refused whether or not there is anything: nobody probes for files.
  const escapes = ({ root, full }: { root: string | null; full: string }) =>
    root === null
      ? !roots.some((allowed) => contains(resolve(allowed), full))
      : !contains(resolve(root), full)
  if (!anywhere && candidates.some(escapes)) throw forbidden(setting, path)
  const found = candidates.find(({ full }) => existsSync(full))?.full
  if (found === undefined) {
    const where = roots.length > 0 ? ` under ${roots.join(', ')}` : ''
    throw new RankscopeError(absent, `${setting}: there is no ${path}${where}`, {
      hint: 'Name something that the node offers, or a path inside the folders that it allows.',
    })
  }
  // Links are followed before the last check, so that none leads outside.
  const real = realPath(found)
  if (real === null) throw new RankscopeError(absent, `${setting}: ${path} has just gone`)
  if (!anywhere && !roots.some((root) => existsSync(root) && contains(realpathSync(root), real)))
    throw forbidden(setting, path)
  return real
}

/** Null where the file vanished meanwhile. */
function realPath(path: string): string | null {
  try {
    return realpathSync(path)
  } catch {
    return null
  }
}

function contains(root: string, path: string): boolean {
  const difference = relative(root, path)
  return (
    difference === '' || !(difference === '..' || difference.startsWith(`..${sep}`) || isAbsolute(difference))
  )
}

function forbidden(setting: string, path: string): RankscopeError {
  return new RankscopeError(
    'PATH_FORBIDDEN',
    `${setting}: ${path} is outside the folders that this node allows`,
    {
      hint: 'Ask the node’s owner to allow the folder, or move the files into an allowed one.',
    },
  )
}
