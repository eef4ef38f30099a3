/**
 * Whether the server still knows this browser. It came in with a cookie, which scripts do not see; when the server is
 * started with another token, requests and sockets are refused from then on.
 */
import { useSyncExternalStore } from 'react'

class Session {
  #isRefused = false
  readonly #listeners = new Set<() => void>()

  get isRefused(): boolean {
    return this.#isRefused
  }

  /** What the last answer of the server meant. */
  tell(isRefused: boolean): void {
    if (this.#isRefused === isRefused) return
    this.#isRefused = isRefused
    for (const listener of this.#listeners) listener()
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

export const session = new Session()

export function useIsRefused(): boolean {
  return useSyncExternalStore(session.subscribe, () => session.isRefused)
}
