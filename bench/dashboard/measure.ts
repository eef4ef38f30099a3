/** What is measured on each page. Only what every version shows is used: roles, texts, requests, frames. */
import type { CDPSession, Page } from '@playwright/test'

export type Stage = { address: string; page: Page }

/** Time from the navigation’s start, in ms, and bytes as sent until then. */
type Mark = { ms: number; bytes: number }

/** Counts bytes as they are sent, and when the page was last busy. */
class Watch {
  readonly #page: Page
  #session!: CDPSession
  #startMs = 0
  bytes = 0
  scriptBytes = 0
  /** By id: a redirect goes on under the same one. */
  readonly #inFlight = new Set<string>()
  #lastMs = 0

  constructor(page: Page) {
    this.#page = page
  }

  async open(address: string): Promise<void> {
    this.#session = await this.#page.context().newCDPSession(this.#page)
    const types = new Map<string, string>()
    await this.#session.send('Network.enable')
    this.#session.on('Network.requestWillBeSent', ({ requestId, type }) => {
      types.set(requestId, type ?? '')
      this.#inFlight.add(requestId)
    })
    const ended = (requestId: string, bytes: number) => {
      this.bytes += bytes
      if (types.get(requestId) === 'Script') this.scriptBytes += bytes
      this.#inFlight.delete(requestId)
      this.#lastMs = Date.now()
    }
    this.#session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) =>
      ended(requestId, encodedDataLength),
    )
    this.#session.on('Network.loadingFailed', ({ requestId }) => ended(requestId, 0))
    await this.#page.addInitScript({ content: recordFrames })
    this.#startMs = Date.now()
    await this.#page.goto(address, { waitUntil: 'commit' })
  }

  mark(): Mark {
    return { ms: Date.now() - this.#startMs, bytes: this.bytes }
  }

  /** When nothing was sent and no long task ran for a second; the moment at which that second began. */
  async quiet(): Promise<Mark> {
    for (;;) {
      const taskMs = await this.#page.evaluate<number>(
        'performance.timeOrigin + (window.lastLongTaskMs ?? 0)',
      )
      const last = Math.max(this.#lastMs, taskMs)
      if (this.#inFlight.size === 0 && Date.now() - last > 1000)
        return { ms: Math.round(last - this.#startMs), bytes: this.bytes }
      await this.#page.waitForTimeout(50)
    }
  }
}

/** In the page: when it was last busy, and how long after an event the next frame was handed over for painting. */
const recordFrames = `
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.lastLongTaskMs = entry.startTime + entry.duration
  }).observe({ type: 'longtask', buffered: true })
  window.delays = []
  for (const type of ['mousemove', 'keydown', 'mouseup'])
    window.addEventListener(type, ({ timeStamp }) => {
      requestAnimationFrame(() => setTimeout(() => window.delays.push(performance.now() - timeStamp)))
    }, { capture: true })
`
const takeDelays = 'window.delays.splice(0)'
/** Twelve rows a frame: fast enough that rows must be mounted all the time. */
const scrollThrough = `new Promise((resolve) => {
  const times = []
  const start = performance.now()
  const step = (now) => {
    times.push(now)
    window.scrollBy(0, 528)
    if (now - start < 3000) requestAnimationFrame(step)
    else resolve(times)
  }
  requestAnimationFrame(step)
})`

/** No part takes longer than this, however slow the page. */
const mostMs = 20_000

async function delaysOf(page: Page, act: () => Promise<void>): Promise<string> {
  await page.evaluate(takeDelays)
  await act()
  await page.waitForTimeout(500)
  return percentiles(await page.evaluate<number[]>(takeDelays))
}

function percentiles(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
  return `${at(0.5).toFixed(0)} / ${at(0.95).toFixed(0)} ms`
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(2)} MB`

/** A chart that shows something: plotly’s curves, or a canvas that says so. */
const drawn = '[data-drawn="true"], .scatterlayer .trace'

export async function measureCompare(
  { address, page }: Stage,
  runs: number,
): Promise<Record<string, unknown>> {
  const ids = Array.from({ length: runs }, (_, index) => `seeded${String(index).padStart(6, '0')}`)
  const url = new URL(address)
  url.pathname = '/compare'
  url.searchParams.set('runs', ids.join(','))
  const watch = new Watch(page)
  await watch.open(url.href)
  const loss = page.getByRole('region', { name: 'Training loss' })
  await loss.locator(drawn).first().waitFor({ timeout: 300_000 })
  const first = watch.mark()
  const complete = await watch.quiet()
  const box = (await loss.getByRole('img').first().boundingBox())!
  const at = (share: number, height = 0.5) =>
    [box.x + share * box.width, box.y + height * box.height] as const
  const hover = await delaysOf(page, async () => {
    const end = Date.now() + mostMs
    for (let index = 0; index < 60 && Date.now() < end; index++) {
      await page.mouse.move(...at(0.2 + 0.01 * index, 0.3 + 0.005 * index))
      await page.waitForTimeout(30)
    }
  })
  await page.mouse.move(0, 0)
  const zooms: number[] = []
  for (let index = 0; index < 8; index++) {
    await page.mouse.move(...at(0.3))
    await page.mouse.down()
    await page.mouse.move(...at(0.45 + 0.03 * index), { steps: 4 })
    await page.evaluate(takeDelays)
    await page.mouse.up()
    await page.waitForTimeout(700)
    zooms.push(...(await page.evaluate<number[]>(takeDelays)))
    await page.mouse.dblclick(...at(0.5))
    await page.waitForTimeout(700)
  }
  return {
    'first chart': `${first.ms} ms`,
    complete: `${complete.ms} ms`,
    sent: megabytes(complete.bytes),
    'scripts sent': megabytes(watch.scriptBytes),
    'hover p50 / p95': hover,
    'zoom p50 / p95': percentiles(zooms),
    'spikes in the export': await spikesOf(page, runs),
  }
}

/** How many of the runs have their spike in what the chart exports. */
async function spikesOf(page: Page, runs: number): Promise<string> {
  await page.getByRole('button', { name: 'Options of Training loss' }).click()
  const waiting = page.waitForEvent('download', { timeout: 60_000 })
  await page.getByRole('menuitem', { name: 'Save as CSV' }).click()
  const stream = await (await waiting).createReadStream()
  let text = ''
  for await (const chunk of stream) text += chunk
  const found = new Set<string>()
  for (const line of text.split('\r\n').slice(1)) {
    const [run, , ...values] = line.split(',')
    if (run && values.some((value) => Number(value) === 50)) found.add(run)
  }
  return `${found.size} of ${runs}`
}

export async function measureSpectra({ address, page }: Stage): Promise<Record<string, unknown>> {
  const url = new URL(address)
  url.pathname = '/runs/seeded000000'
  const watch = new Watch(page)
  await watch.open(url.href)
  const spectrum = page.getByRole('region', { name: 'Spectrum of ΔW' })
  await spectrum.locator(drawn).first().waitFor({ timeout: 300_000 })
  const first = watch.mark()
  const complete = await watch.quiet()
  await page.mouse.click(700, 70)
  const scrub = await delaysOf(page, async () => {
    const end = Date.now() + mostMs
    for (let index = 0; index < 80 && Date.now() < end; index++) {
      await page.keyboard.press('ArrowLeft')
      await page.waitForTimeout(40)
    }
  })
  return {
    'first spectrum': `${first.ms} ms`,
    'sent before it': megabytes(first.bytes),
    complete: `${complete.ms} ms`,
    sent: megabytes(complete.bytes),
    'scrub p50 / p95': scrub,
  }
}

export async function measureList({ address, page }: Stage, runs: number): Promise<Record<string, unknown>> {
  const url = new URL(address)
  url.pathname = '/runs'
  const watch = new Watch(page)
  await watch.open(url.href)
  await page.getByTestId('run-row').first().waitFor({ timeout: 300_000 })
  const first = watch.mark()
  const complete = await watch.quiet()
  const frames = await page.evaluate<number[]>(scrollThrough)
  const seconds = (frames.at(-1)! - frames[0]!) / 1000
  const gaps = frames.slice(1).map((time, index) => time - frames[index]!)
  return {
    runs,
    'first rows': `${first.ms} ms`,
    quiet: `${complete.ms} ms`,
    sent: megabytes(complete.bytes),
    'scripts sent': megabytes(watch.scriptBytes),
    'frames/s while scrolling': ((frames.length - 1) / seconds).toFixed(0),
    'frame p50 / p95': percentiles(gaps),
  }
}
