/**
 * Sets up everything that a command needs, on a machine with nothing but Node and npm, and nothing twice: Debian
 * packages, npm packages, native kernels, dashboard. Plain JavaScript without dependencies, since it runs before
 * there are any:
 *
 *     node scripts/setup.mjs [kernels] [dashboard] [browser] [mpi] [emulation]
 *
 * A part that cannot be had (no permission, no compiler) is named, with what to install and what goes on without it.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { releaseProcessLock, takeProcessLock } from './process-lock.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const inRoot = (...parts) => join(root, ...parts)
const wanted = new Set(process.argv.slice(2))

const kernelsStamp = inRoot('gpu-node/kernels/build/set-up')
const dashboardStamp = inRoot('apps/dashboard/dist/set-up')
const lockFile = inRoot('.rankscope/set-up.lock')

/** Debian packages, the question whether they are needed, and what works without them. */
const systemPackages = [
  {
    part: 'kernels',
    names: ['gcc', 'libc6-dev'],
    missing: () => !onPath('cc') && !onPath('gcc') && !onPath('clang'),
    without: 'training runs on the wasm backend, several times slower',
  },
  {
    part: 'kernels',
    names: ['libopenblas-openmp-dev'],
    missing: () => process.platform === 'linux' && !openblasHeaders().some((file) => existsSync(file)),
    without: 'matrix products use the kernels’ own code; exact SVDs run in TypeScript',
  },
  {
    part: 'browser',
    names: ['chromium', 'fonts-liberation'],
    missing: () => !onPath('chromium') && !process.env.RANKSCOPE_CHROMIUM,
    without: 'the browser tests are skipped',
  },
  {
    part: 'mpi',
    names: ['openmpi-bin', 'libopenmpi-dev'],
    missing: () => process.platform === 'linux' && !onPath('mpirun'),
    without: 'the tests of runs over several processes are skipped',
  },
  {
    part: 'emulation',
    names: ['g++'],
    missing: () => process.platform === 'linux' && !onPath('g++'),
    without: 'the tests of the CUDA kernels are skipped',
  },
  {
    part: 'browser',
    names: ['bubblewrap', 'python3-minimal'],
    missing: () => process.platform === 'linux' && !(onPath('bwrap') && existsSync('/usr/bin/python3')),
    without: 'the tests of generated programs are skipped',
  },
]

checkNode()
if (workLeft().length > 0) await withLock(setUp)

function setUp() {
  const started = Date.now()
  for (const work of workLeft()) {
    const partStarted = Date.now()
    say(`${work.title} …`)
    if (work.run()) say(`${work.title}: done in ${seconds(partStarted)}`)
  }
  say(`ready after ${seconds(started)}`)
}

/** What is to be done, in order. Quick: called at each start. */
function workLeft() {
  const work = []
  const packages = systemPackages.filter(({ part, missing }) => wanted.has(part) && missing())
  if (packages.length > 0) work.push({ title: 'Debian packages', run: () => installSystemPackages(packages) })
  if (npmPackagesStale()) work.push({ title: 'npm packages', run: installNpmPackages })
  if (wanted.has('kernels') && stampOf(kernelsStamp) !== kernelsKey())
    work.push({ title: 'native kernels', run: buildKernels })
  if (wanted.has('dashboard') && stampOf(dashboardStamp) !== dashboardKey())
    work.push({ title: 'dashboard', run: buildDashboard })
  return work
}

function installSystemPackages(packages) {
  const names = packages.flatMap((entry) => entry.names)
  const command = `apt-get install -y --no-install-recommends ${names.join(' ')}`
  const prefix = rootPrefix()
  if (prefix !== null && onPath('apt-get')) {
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    const aptGet = (...args) => {
      const [program, ...rest] = [...prefix, 'apt-get', '-qq', ...args]
      return run(program, rest, { env: environment, quiet: true })
    }
    const install = () => aptGet('install', '-y', '--no-install-recommends', ...names)
    // The lists of a fresh image are empty, those of an old one name versions that are gone.
    if (install() || (aptGet('update') && install())) return true
    say('apt-get failed, see above')
  }
  say(`these packages could not be installed from here: ${names.join(' ')}`)
  say(`  on Debian or Ubuntu, as root: ${command}`)
  for (const { names: missing, without } of packages) say(`  without ${missing.join(', ')}: ${without}`)
  return false
}

/** True where what is installed differs from the lock file. npm writes what it installed when it has finished. */
function npmPackagesStale() {
  try {
    const wantedPackages = readJson(inRoot('package-lock.json')).packages
    const installed = readJson(inRoot('node_modules/.package-lock.json')).packages
    return Object.entries(wantedPackages).some(([path, entry]) => {
      if (path === '' || !path.startsWith('node_modules/')) return false
      const found = installed[path]
      if (found === undefined) return !entry.optional && !entry.peer
      return found.version !== entry.version
    })
  } catch {
    return true
  }
}

function installNpmPackages() {
  if (run('npm', ['ci', '--no-fund', '--no-audit', '--loglevel=error'])) return true
  say('npm ci failed, see above: is the npm registry reachable?')
  process.exit(1)
}

function buildKernels() {
  const key = kernelsKey()
  const built = run(process.execPath, ['launch/launch.mjs', 'gpu-node/kernels/build.ts'])
  if (built) {
    // What is not measured falls back to what holds on most processors.
    run(process.execPath, ['launch/launch.mjs', 'gpu-node/src/native-libraries/tune-products.ts'])
    writeFileSync(kernelsStamp, key)
  } else say('  without the native kernels training runs on the wasm backend, several times slower')
  return built
}

function buildDashboard() {
  const key = dashboardKey()
  const vite = inRoot('node_modules/vite/bin/vite.js')
  if (!run(process.execPath, [vite, 'build', 'apps/dashboard', '--logLevel', 'warn'])) {
    say('the dashboard could not be built, see above')
    process.exit(1)
  }
  writeFileSync(dashboardStamp, key)
  return true
}

/** Everything that decides what the compiler makes of the kernels. */
function kernelsKey() {
  const packages = systemPackages.filter(({ part }) => part === 'kernels').map(({ missing }) => missing())
  const machine = [cpus()[0]?.model, process.arch, ...packages]
  return hashOf(
    filesBelow(inRoot('gpu-node/kernels'), (name) => /\.(c|h|ts)$/.test(name)),
    machine,
  )
}

function dashboardKey() {
  const folder = inRoot('apps/dashboard')
  const own = filesBelow(folder, (name) => !/\.test\.tsx?$/.test(name))
  return hashOf([...own, ...filesBelow(inRoot('protocol/src'), () => true), inRoot('package-lock.json')], [])
}

function filesBelow(folder, take) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory())
      return ['node_modules', 'dist', 'build'].includes(entry.name) ? [] : filesBelow(path, take)
    return take(entry.name) ? [path] : []
  })
}

function hashOf(files, values) {
  const hash = createHash('sha256').update(JSON.stringify([process.version, ...values]))
  for (const file of files.sort()) hash.update(file.slice(root.length)).update(readFileSync(file))
  return hash.digest('hex')
}

function stampOf(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : null
}

/** One set-up at a time in this checkout; whoever comes second waits, then finds little left to do. */
async function withLock(work) {
  for (let waited = false; takeProcessLock(lockFile) !== null; waited = true) {
    if (!waited) say('another set-up is at work here, waiting for it …')
    await delay(200)
  }
  try {
    work()
  } finally {
    releaseProcessLock(lockFile)
  }
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if ((major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22) return
  say(`Node ${process.versions.node} is too old: 20.19 or later, or 22.12 or later, is needed`)
  process.exit(1)
}

/** What goes before a command that needs root, or null where this user may not. */
function rootPrefix() {
  if (process.getuid?.() === 0) return []
  const permitted = onPath('sudo') && spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0
  return permitted ? ['sudo', '-n'] : null
}

function onPath(program) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)))
}

function openblasHeaders() {
  const architecture = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu'
  const debian = ['openmp', 'pthread', 'serial'].map((kind) => `${architecture}/openblas-${kind}`)
  return [...debian, 'openblas'].map((folder) => `/usr/include/${folder}/cblas.h`)
}

/** Runs to the end; true where it succeeded.. */
function run(program, args, { quiet = false, env = process.env } = {}) {
  const stdio = quiet ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit']
  return spawnSync(program, args, { cwd: root, env, stdio }).status === 0
}

function readJson(file) {
  return JSON.parse(readFileSync(file, 'utf8'))
}

function seconds(since) {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`
}

function say(line) {
  console.log(`set-up: ${line}`)
}
