/**
 * What the GPUs of this machine are doing, as nvidia-smi tells every few seconds: one process of it, which is asked to
 * repeat itself, beside the daemon, so that a driver that hangs holds up no heartbeat. Where there is none, why.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { GpuReading, Heartbeat, NodeHello } from '@rankscope/protocol'

const fields = [
  'index',
  'name',
  'utilization.gpu',
  'memory.used',
  'memory.total',
  'power.draw',
  'temperature.gpu',
] as const

const mebibyte = 2 ** 20
/** Seconds between two tellings of nvidia-smi. */
const everySeconds = 2
/** A GPU that is not told of for so long has left. */
const staleMs = 15_000
/** nvidia-smi ends when the driver is reloaded, for example. */
const againMs = 30_000
/** The first telling, before the node introduces itself. */
const firstMs = 5000
/** The lines of one telling come close behind one another. */
const afterFirstMs = 200

export interface GpuTelemetry {
  /** The GPUs as the node introduces them; empty where there are none, or they are not heard of in time. */
  devices(): Promise<NodeHello['devices']>
  readings(): Heartbeat['gpus']
  close(): void
}

export function watchGpus(program = process.env['RANKSCOPE_NVIDIA_SMI'] ?? 'nvidia-smi'): GpuTelemetry {
  const known = new Map<number, { reading: GpuReading; timeMs: number }>()
  let absent: string | null = `${program} has told nothing yet`
  let child: ChildProcess | undefined
  let again: NodeJS.Timeout | undefined
  let closed = false
  let heard: () => void = () => undefined
  const first = new Promise<void>((resolve) => {
    heard = resolve
    setTimeout(resolve, firstMs).unref()
  })

  function begin(): void {
    let lastLine = ''
    child = spawn(
      program,
      [`--query-gpu=${fields.join(',')}`, '--format=csv,noheader,nounits', `--loop=${everySeconds}`],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    const listen = (line: string) => {
      const reading = parseReading(line)
      if (!reading) {
        lastLine = line.trim() || lastLine
        return
      }
      known.set(reading.index, { reading, timeMs: performance.now() })
      absent = null
      setTimeout(heard, afterFirstMs)
    }
    createInterface({ input: child.stdout! }).on('line', listen)
    createInterface({ input: child.stderr! }).on('line', listen)
    const ended = (how: string) => {
      known.clear()
      absent = lastLine === '' ? how : `${how}: ${lastLine.slice(0, 200)}`
      heard()
      if (closed || again) return
      again = setTimeout(() => {
        again = undefined
        begin()
      }, againMs)
      again.unref()
    }
    child.on('error', (error: NodeJS.ErrnoException) =>
      ended(
        error.code === 'ENOENT'
          ? `${program} is not installed: this machine has no NVIDIA driver`
          : error.message,
      ),
    )
    child.on('close', (code, signal) => {
      if (code !== null && code < 0) return // it never started, see above
      ended(`${program} ended with ${signal ?? `exit code ${code}`}`)
    })
  }
  begin()

  const present = () =>
    [...known.values()]
      .filter(({ timeMs }) => performance.now() - timeMs < staleMs)
      .map(({ reading }) => reading)
      .sort((a, b) => a.index - b.index)

  return {
    async devices() {
      await first
      return present().map(({ index, name, memoryTotalBytes }) => ({
        id: `gpu-${index}`,
        kind: 'gpu',
        name,
        memoryBytes: memoryTotalBytes ?? 0,
        cores: null,
      }))
    },
    readings() {
      const readings = present()
      const silent = readings.length === 0 ? `${program} tells nothing any more` : null
      return { readings, absent: absent ?? silent }
    },
    close() {
      closed = true
      clearTimeout(again)
      child?.kill()
    },
  }
}

/** One line of it; null for anything else. What a GPU does not measure is `[N/A]` or `[Not Supported]`. */
function parseReading(line: string): GpuReading | null {
  const values = line.split(', ')
  if (values.length !== fields.length || !/^\d+$/.test(values[0]!)) return null
  const number = (text: string, factor: number) =>
    Number.isFinite(Number(text)) ? Number(text) * factor : null
  const [index, name, utilization, used, total, power, temperature] = values as [
    string,
    string,
    string,
    string,
    string,
    string,
    string,
  ]
  return {
    index: Number(index),
    name,
    utilization: number(utilization, 0.01),
    memoryUsedBytes: number(used, mebibyte),
    memoryTotalBytes: number(total, mebibyte),
    powerWatts: number(power, 1),
    temperatureCelsius: number(temperature, 1),
  }
}
