/**
 * `webgpu`: TensorFlow.js on any vendor's GPU through Dawn, the WebGPU of Chromium, as the npm package `webgpu`.
 *
 * Without a GPU it runs on SwiftShader, the software renderer that Debian's chromium brings along: slow, but the same
 * code, so that a machine without a GPU can hold this backend to the contract.
 *
 * Dawn keeps the process alive: one that has started this backend must end with process.exit.
 */
import { existsSync } from 'node:fs'
import { env, getKernel, setBackend } from '@tensorflow/tfjs-core'
import koffi from 'koffi'
import { registerComposedKernels } from '../ops/composed/index.ts'
import { registryName } from '../ops/registry.ts'
import type { Backend } from './backend.ts'
import { unavailable } from './backend.ts'

/** The part of the package `webgpu` and of WebGPU that is used here. */
interface Dawn {
  create(options: string[]): Gpu
  globals: object
}
interface Gpu {
  requestAdapter(): Promise<{ info: { vendor: string; device: string; description: string } } | null>
}

const softwareDriver = '/usr/lib/chromium/vk_swiftshader_icd.json'
const vulkanLoader = '/usr/lib/chromium/libvulkan.so.1'
/** Any of these tells of a GPU on Linux. */
const gpuDevices = ['/dev/dri', '/dev/nvidia0', '/dev/dxg']

/**
 * TensorFlow.js's number of its matrix product with small tiles. A software renderer compiles it several times faster
 * than the one with large tiles and runs it several times faster than the one that adds up across a workgroup.
 */
const smallTileProducts = 2

/**
 * Dawn clears a workgroup's memory before each shader; unrolled by the software renderer, that takes most of the time
 * of compiling a product. TensorFlow.js's shaders write what they read, which the contract suite sees.
 */
const softwareOptions = ['enable-dawn-features=disable_workgroup_init']

let found: { gpu: Gpu; name: string; software: boolean } | undefined

export const webgpuBackend: Backend = {
  name: 'webgpu',
  async start({ onlyWithGpu = false }) {
    env().set('PROD', true) // no banner that recommends other packages
    found ??= await findAdapter(onlyWithGpu)
    await import('@tensorflow/tfjs-backend-webgpu').catch((cause: unknown) => {
      throw unavailable('webgpu', 'the package @tensorflow/tfjs-backend-webgpu is not installed', { cause })
    })
    if (found.software) env().set('WEBGPU_MATMUL_PROGRAM_TYPE', smallTileProducts)
    if (!getKernel(registryName('linear'), 'webgpu')) registerComposedKernels('webgpu')
    if (!(await setBackend('webgpu'))) throw unavailable('webgpu', 'TensorFlow.js could not open the device')
    return { threads: 1, gpu: !found.software, description: found.name }
  },
}

/** Finds a GPU, or unless `onlyWithGpu` the software renderer, and puts it where TensorFlow.js looks for it. */
async function findAdapter(onlyWithGpu: boolean) {
  const mayHaveGpu = process.platform !== 'linux' || gpuDevices.some((path) => existsSync(path))
  if (!mayHaveGpu && onlyWithGpu) throw unavailable('webgpu', 'there is no GPU')
  const dawn: Dawn = await import('webgpu').catch((cause: unknown) => {
    throw unavailable('webgpu', 'the package webgpu is not installed or has no build for this platform', {
      cause,
    })
  })
  Object.assign(globalThis, dawn.globals)
  const adapter = (mayHaveGpu && (await open(dawn))) || (!onlyWithGpu && (await openSoftware(dawn)))
  if (!adapter) throw unavailable('webgpu', 'neither a GPU driver nor the SwiftShader of chromium was found')
  const navigator = (globalThis as { navigator?: object }).navigator ?? {}
  Object.defineProperty(navigator, 'gpu', { value: adapter.gpu, configurable: true })
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true })
  return adapter
}

async function open(dawn: Dawn, options: string[] = []) {
  const gpu = dawn.create(options)
  const info = (await gpu.requestAdapter())?.info
  if (!info) return undefined
  const name = [info.vendor, info.device, info.description].filter(Boolean).join(' ')
  return { gpu, name, software: /swiftshader|llvmpipe|lavapipe/i.test(name) }
}

async function openSoftware(dawn: Dawn) {
  if (!existsSync(softwareDriver) || !existsSync(vulkanLoader)) return undefined
  // Dawn asks the dynamic linker for libvulkan.so.1 and is given the copy that is loaded already. The loader reads the
  // driver's path from the C environment, which process.env is a mere copy of in worker threads.
  koffi.load(vulkanLoader, { global: true })
  const setenv = koffi.load('libc.so.6').func('int setenv(str name, str value, int overwrite)')
  setenv('VK_ICD_FILENAMES', softwareDriver, 1)
  return open(dawn, softwareOptions)
}
