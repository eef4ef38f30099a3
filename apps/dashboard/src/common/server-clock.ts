/**
 * The server’s clock, which is the one that ages and durations are told by on every page: this machine’s may be off.
 * Every answer names the second in which the server wrote it; what all answers together allow narrows the difference
 * down to about the time a request takes. Pure.
 */
export class ServerClock {
  #least = Number.NEGATIVE_INFINITY
  #most = Number.POSITIVE_INFINITY

  /** An answer asked for at `sentMs` and received at `receivedMs` of this machine, with its Date header. */
  note(sentMs: number, receivedMs: number, date: string | null): void {
    const writtenMs = date === null ? Number.NaN : Date.parse(date)
    if (Number.isNaN(writtenMs)) return
    // Written within that second, after it was asked for and before it was received.
    const [least, most] = [writtenMs - receivedMs, writtenMs + 999 - sentMs]
    const agrees = least <= this.#most && most >= this.#least
    // A clock that was set meanwhile: only the newest answer counts.
    this.#least = agrees ? Math.max(least, this.#least) : least
    this.#most = agrees ? Math.min(most, this.#most) : most
  }

  /** The server’s time when this machine’s clock says `nowMs`; the same where the answers allow that. */
  at(nowMs: number): number {
    return nowMs + Math.min(Math.max(0, this.#least), this.#most)
  }
}

export const serverClock = new ServerClock()
