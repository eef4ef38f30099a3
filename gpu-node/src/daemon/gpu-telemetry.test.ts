/** Readings of GPUs by a stand-in for nvidia-smi, which writes what that writes. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { heartbeatSchema, nodeHelloSchema } from '@rankscope/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type GpuTelemetry, watchGpus } from './gpu-telemetry.ts'

describe('telemetry of GPUs', () => {
  let folder: string
  let telemetry: GpuTelemetry | undefined

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-smi-'))
  })
  afterEach(() => {
    telemetry?.close()
    rmSync(folder, { recursive: true })
  })

  function standIn(script: string): string {
    const file = join(folder, 'nvidia-smi')
    writeFileSync(file, `#!/bin/sh\n${script}\n`)
    chmodSync(file, 0o755)
    return file
  }

  it('tells of each GPU, and leaves open what one does not measure', async () => {
    // It answers only to the question that is meant for it.
    telemetry = watchGpus(
      standIn(`
[ "$1" = --query-gpu=index,name,utilization.gpu,memory.used,memory.total,power.draw,temperature.gpu ] || exit 9
[ "$2 $3" = "--format=csv,noheader,nounits --loop=2" ] || exit 9
echo '0, NVIDIA H200, 97, 71500, 143771, 655.31, 63'
echo '1, NVIDIA A2, [N/A], 4, 15356, [Not Supported], 41'
exec sleep 600`),
    )
    const devices = await telemetry.devices()
    expect(devices).toEqual([
      { id: 'gpu-0', kind: 'gpu', name: 'NVIDIA H200', memoryBytes: 143771 * 2 ** 20, cores: null },
      { id: 'gpu-1', kind: 'gpu', name: 'NVIDIA A2', memoryBytes: 15356 * 2 ** 20, cores: null },
    ])
    nodeHelloSchema.shape.devices.parse(devices)
    const found = telemetry.readings()
    expect(found).toEqual({
      absent: null,
      readings: [
        {
          index: 0,
          name: 'NVIDIA H200',
          utilization: 0.97,
          memoryUsedBytes: 71500 * 2 ** 20,
          memoryTotalBytes: 143771 * 2 ** 20,
          powerWatts: 655.31,
          temperatureCelsius: 63,
        },
        expect.objectContaining({ index: 1, utilization: null, powerWatts: null, temperatureCelsius: 41 }),
      ],
    })
    heartbeatSchema.shape.gpus.parse(found)
  })

  it.each([
    [
      'a driver that is not loaded',
      "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18",
      /ended with exit code 18: Failed to initialize NVML: Driver\/library version mismatch/,
    ],
    ['no GPU', "echo 'No devices were found'; exit 6", /exit code 6: No devices were found/],
    ['words that are no readings', 'echo hello; exit 0', /exit code 0: hello/],
  ])('says why there are none: %s', async (_, script, reason) => {
    telemetry = watchGpus(standIn(script))
    expect(await telemetry.devices()).toEqual([])
    expect(telemetry.readings()).toEqual({ readings: [], absent: expect.stringMatching(reason) })
  })

  it('says where nvidia-smi is not there', async () => {
    telemetry = watchGpus(join(folder, 'nvidia-smi'))
    expect(await telemetry.devices()).toEqual([])
    expect(telemetry.readings().absent).toMatch(
      /nvidia-smi is not installed: this machine has no NVIDIA driver/,
    )
  })
})
