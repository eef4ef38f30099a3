/** What is compiled elsewhere than on the user's machine: the PTX in the repository, our declarations of NVIDIA's libraries. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { expect, test } from 'vitest'
import { compilePtx, nvccRelease, storedPtx } from './build-ptx.ts'
import { cudaFolder, hashOfKernels } from './host-library.ts'

const release = nvccRelease()
const storedRelease = /^\/\/ nvcc (.*)$/m.exec(storedPtx())?.[1]

test('the PTX in the repository is of the kernels as they are, for every driver since 450 and chip since 8.0', () => {
  const text = storedPtx()
  expect(
    text.split('\n')[0],
    'build it anew: node launch/launch.mjs gpu-node/kernels/cuda/build-ptx.ts',
  ).toBe(`// sources ${hashOfKernels()}`)
  expect(text).toMatch(/^\.version 7\.0$/m)
  expect(text).toMatch(/^\.target sm_80$/m)
})

const otherCompiler =
  release === null
    ? 'skipped: nvcc is not installed'
    : release === storedRelease
      ? null
      : `skipped: nvcc is ${release}`

test.skipIf(otherCompiler)(
  `nvcc makes the same PTX again ${otherCompiler ?? ''}`,
  { timeout: 300_000 },
  () => {
    expect(compilePtx(release!) === storedPtx()).toBe(true)
  },
)

/** Of the toolkit, and further ones in RANKSCOPE_CUDA_HEADERS. */
const folders = [
  '/usr/local/cuda/include',
  ...(process.env['RANKSCOPE_CUDA_HEADERS'] ?? '').split(delimiter),
].filter((folder) => folder !== '' && existsSync(folder))
const headers = ['cuda.h', 'cublas_v2.h', 'cusolverDn.h'].map((name) => {
  const found = folders.some((folder) => existsSync(join(folder, name)))
  const reason = !found
    ? `skipped: it is not in ${folders.join(', ') || '/usr/local/cuda/include'} (RANKSCOPE_CUDA_HEADERS)`
    : spawnSync('g++', ['--version']).status !== 0
      ? 'skipped: g++ is not installed'
      : null
  return { name, reason }
})

for (const { name, reason } of headers)
  test.skipIf(reason)(`what we declare of ${name} is what it declares ${reason ?? ''}`, () => {
    const check = (...more: string[]) =>
      spawnSync('g++', [
        ...['-std=c++17', '-fsyntax-only', `-DRS_HEADER=${name.replace('.h', '')}`, ...more],
        ...[...folders.map((folder) => `-I${folder}`), join(cudaFolder, 'test/declarations.cpp')],
      ]).stderr.toString()
    expect(check()).toBe('')
    expect(check('-DRS_PLANTED')).toContain('static assertion failed')
  })
