/** Makes one JavaScript file of a TypeScript module and its imports, for launch.mjs. */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { threadId } from 'node:worker_threads'
import * as esbuild from 'esbuild'
import { preparedName } from './prepared.mjs'
import { stampOf } from './stamp.mjs'

/** Packages that load faster as part of the file: plain modules, many of them. */
const inlined = ['zod', 'kysely']

/** Leaves packages to Node, but for those that gain by it and for the project’s own. */
const packagesOutside = {
  name: 'packages-outside',
  setup: (build) =>
    build.onResolve({ filter: /^[^./]/ }, ({ path, kind, importer }) => {
      const isInside = kind === 'entry-point' || importer.includes('node_modules')
      if (isInside || path.startsWith('@rankscope/') || inlined.includes(path)) return undefined
      return { path, external: true }
    }),
}

/** What a module finds by its own place, it finds by the place of its source: `urlOf` and `folderOf` are expressions for them. */
const knowingTheirPlace = (urlOf, folderOf) => ({
  name: 'knowing-their-place',
  setup: (build) =>
    build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
      if (path.includes('node_modules')) return undefined
      const contents = readFileSync(path, 'utf8')
        .replaceAll('import.meta.url', () => urlOf(path))
        .replaceAll('import.meta.dirname', () => folderOf(path))
      return { contents, loader: 'ts' }
    }),
})
const placeOfSources = knowingTheirPlace(
  (path) => JSON.stringify(pathToFileURL(path).href),
  (path) => JSON.stringify(dirname(path)),
)

const format = {
  bundle: true,
  write: false,
  metafile: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  logLevel: 'silent',
}

/**
 * Returns the path of the file, `stem`-VERSION.mjs; `stem`.json then names it and what it was made of.
 * Throws what esbuild says about sources that it cannot read.
 */
export async function bundle(root, entry, stem) {
  const started = Date.now()
  const { outputFiles, metafile } = await esbuild.build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile: `${stem}.mjs`,
    ...format,
    sourcemap: 'linked',
    sourcesContent: false,
    plugins: [packagesOutside, placeOfSources],
  })
  await esbuild.stop()
  const sources = Object.keys(metafile.inputs).filter((file) => !file.includes('node_modules/'))
  const inputs = [
    ...sources.map((file) => join(root, file)),
    // The packages as npm installed them, and these rules.
    join(root, 'node_modules/.package-lock.json'),
    fileURLToPath(import.meta.url),
  ]
  return keep(
    stem,
    outputFiles,
    inputs.map((file) => [file, stampOf(file, started)]),
  )
}

/**
 * Makes the files that launch.mjs takes where there are no sources: for each of `entries` (paths below `root`) one in
 * `folder`, named by preparedName, and others that they share. They may lie below another root later: what a module finds by its
 * place, it finds from there. Returns the sources that went in, as paths below `root`.
 */
export async function prepare(root, entries, folder) {
  const fromFolder = (path) => JSON.stringify(`../../${relative(root, path)}`)
  const { outputFiles, metafile } = await esbuild.build({
    absWorkingDir: root,
    entryPoints: entries.map((entry) => ({ in: entry, out: preparedName(entry).replace(/\.mjs$/, '') })),
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    ...format,
    splitting: true,
    plugins: [
      packagesOutside,
      knowingTheirPlace(
        (path) => `new URL(${fromFolder(path)}, import.meta.url).href`,
        (path) => `decodeURIComponent(new URL(${fromFolder(dirname(path))}, import.meta.url).pathname)`,
      ),
    ],
  })
  await esbuild.stop()
  mkdirSync(folder, { recursive: true })
  for (const { path, contents } of outputFiles) writeFileSync(path, contents)
  return Object.keys(metafile.inputs).filter((file) => !file.includes('node_modules/'))
}

/** Several processes may make the same at once: each writes files of its own name, the manifest last and in one go. */
function keep(stem, outputFiles, inputs) {
  const [map, code] = ['.mjs.map', '.mjs'].map((end) => outputFiles.find(({ path }) => path.endsWith(end)))
  const version = createHash('sha256').update(code.contents).digest('hex').slice(0, 12)
  const output = `${stem}-${version}.mjs`
  mkdirSync(dirname(stem), { recursive: true })
  const former = readdirSync(dirname(stem)).filter(
    (name) => name.startsWith(`${basename(stem)}-`) && /\.mjs(\.map)?$/.test(name),
  )
  for (const [file, contents] of [
    [`${output}.map`, map.contents],
    [output, code.text.replace(/(?<=sourceMappingURL=).*/, `${basename(output)}.map`)],
    [`${stem}.json`, JSON.stringify({ output, inputs })],
  ]) {
    // Threads of one process share its id.
    const unfinished = `${file}.${process.pid}-${threadId}`
    writeFileSync(unfinished, contents)
    renameSync(unfinished, file)
  }
  for (const name of former)
    if (!name.startsWith(basename(output))) rmSync(join(dirname(stem), name), { force: true })
  return output
}
