/** A shell script with an archive behind it, which unpacks itself at the first start. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { RankscopeError } from '@rankscope/protocol'
import { commands, kernelPrograms } from './layout.ts'

/** Packs the contents of `folder` into `out`, in the same order and with the same dates each time. */
export async function writeSelfExtracting(folder: string, out: string, level: number): Promise<void> {
  const archive = join(folder, '../', `rankscope-${process.pid}.tar.gz`)
  const unfinished = `${out}.${process.pid}`
  try {
    const hash = createHash('sha256')
    const tar = spawn(
      'tar',
      ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '-cf', '-', '.'],
      {
        cwd: folder,
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    const ended = new Promise<number | null>((resolve, reject) => {
      tar.once('error', reject)
      tar.once('close', resolve)
    })
    const [, status] = await Promise.all([
      pipeline(
        tar.stdout,
        async function* (chunks: AsyncIterable<Buffer>) {
          for await (const chunk of chunks) {
            hash.update(chunk)
            yield chunk
          }
        },
        createGzip({ level }),
        createWriteStream(archive),
      ),
      ended,
    ])
    if (status !== 0) throw new RankscopeError('FILE_UNUSABLE', `tar ended with exit code ${status}`)
    const to = createWriteStream(unfinished, { mode: 0o755 })
    to.write(script(hash.digest('hex').slice(0, 16)))
    await pipeline(createReadStream(archive), to)
    renameSync(unfinished, out)
  } finally {
    rmSync(archive, { force: true })
    rmSync(unfinished, { force: true })
  }
}

/** POSIX sh: the machine may have no other. Names what is missing, and leaves nothing half unpacked. */
function script(version: string): string {
  const [system, processor] = [`${process.platform}`, process.arch === 'x64' ? 'x86_64' : 'aarch64']
  const text = `#!/bin/sh
# Rankscope's programs for a machine that reaches no registry: a node, and headless runs.
set -eu
usage() {
  cat >&2 <<'END'
usage: sh FILE COMMAND [options]      COMMAND: ${commands.join(', ')}
       sh FILE COMMAND --help         the options of one
It is unpacked once, into RANKSCOPE_BUNDLE_HOME or else ~/.cache/rankscope/bundles; deleting that folder is all that uninstalling takes.
END
  exit 2
}
fail() {
  echo "SETUP_MISSING: $1" >&2
  exit 1
}
case "\${1:-}" in
  ${commands.join(' | ')}) command=$1; shift ;;
  *) usage ;;
esac
[ "$(uname -s | tr A-Z a-z)/$(uname -m)" = "${system}/${processor}" ] || fail "this bundle is for ${system} on ${processor}: make one on a machine like this one, npm run bundle:node"
home="\${RANKSCOPE_BUNDLE_HOME:-\${XDG_CACHE_HOME:-$HOME/.cache}/rankscope/bundles}"
at="$home/node-${version}"
if [ ! -d "$at" ]; then
  for tool in tar gzip tail; do command -v "$tool" >/dev/null || fail "$tool is needed to unpack it"; done
  mkdir -p "$home"
  making="$at.$$"
  trap 'rm -rf "$making"' EXIT INT TERM HUP
  mkdir "$making"
  tail -c +SCRIPT_BYTES "$0" | gzip -dc | tar -xf - -C "$making" || fail "it could not be unpacked into $making"
  # Another start may have been quicker.
  mv -T "$making" "$at" 2>/dev/null || rm -rf "$making"
  trap - EXIT INT TERM HUP
fi
launch() { "$at/bin/node" "$at/launch/launch.mjs" "$@"; }
built="$at/gpu-node/kernels/build/set-up"
if [ ! -e "$built" ]; then
  echo "setting up the kernels, once …" >&2
  if launch "$at/${kernelPrograms.build}" >"$at/kernels.log" 2>&1; then
    launch "$at/${kernelPrograms.tune}" >>"$at/kernels.log" 2>&1 || true
  else
    echo "the kernels could not be built, see $at/kernels.log: training on the CPU takes the wasm backend, several times slower" >&2
  fi
  : >"$built"
fi
exec "$at/bin/node" "$at/launch/launch.mjs" "$at/gpu-node/src/cli/$command.ts" "$@"
exit 1
`
  // The archive's first byte, counted from 1; the number is as long as the word that it replaces may be.
  const place = (bytes: number) => text.replace('SCRIPT_BYTES', String(bytes))
  let bytes = text.length
  while (Buffer.byteLength(place(bytes)) + 1 !== bytes) bytes = Buffer.byteLength(place(bytes)) + 1
  return place(bytes)
}
