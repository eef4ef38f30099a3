/** Do things once per animation frame, however often they are asked for. */
export class FrameBatcher {
  readonly #pending = new Set<() => void>()
  readonly #schedule: (callback: () => void) => void
  #scheduled = false

  /** `schedule` is requestAnimationFrame in a browser; a test passes its own. */
  constructor(schedule: (callback: () => void) => void = (callback) => requestAnimationFrame(callback)) {
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
