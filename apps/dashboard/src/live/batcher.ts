/** Do things once per moment (a frame, a turn of the event loop), however often they are asked for. */
export class Batcher {
  readonly #pending = new Set<() => void>()
  readonly #schedule: (callback: () => void) => void
  #scheduled = false

  /** `schedule` calls back at the next such moment, e.g. requestAnimationFrame or queueMicrotask. */
  constructor(schedule: (callback: () => void) => void) {
    this.#schedule = schedule
  }

  request(task: () => void): void {
    this.#pending.add(task)
    if (this.#scheduled) return
    this.#scheduled = true
    this.#schedule(() => {
      this.#scheduled = false
      const tasks = [...this.#pending]
      this.#pending.clear()
      for (const task of tasks) task()
    })
  }
}
