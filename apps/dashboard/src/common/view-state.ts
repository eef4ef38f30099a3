/**
 * The view in the URL’s query: which tab, which module, how smooth. Kept in memory so that dragging a slider
 * is instant, written to the address a moment later (browsers limit how often), read back on navigation.
 */
import { useCallback, useLayoutEffect, useMemo, useSyncExternalStore } from 'react'
import { useLocation } from 'react-router'

const writeDelayMs = 200

class ViewState {
  #parameters = new URLSearchParams(window.location.search)
  #timer: ReturnType<typeof setTimeout> | null = null
  readonly #listeners = new Set<() => void>()

  get(key: string): string | null {
    return this.#parameters.get(key)
  }

  set(key: string, value: string | null): void {
    if (this.get(key) === value) return
    if (value === null) this.#parameters.delete(key)
    else this.#parameters.set(key, value)
    this.#notify()
    if (this.#timer === null) this.#timer = setTimeout(() => this.#write(), writeDelayMs)
  }

  /** The router went somewhere: its address counts. */
  adopt(search: string): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    const parameters = new URLSearchParams(search)
    if (parameters.toString() === this.#parameters.toString()) return
    this.#parameters = parameters
    this.#notify()
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #write(): void {
    this.#timer = null
    const query = this.#parameters.toString()
    const address = `${window.location.pathname}${query ? `?${query}` : ''}${window.location.hash}`
    window.history.replaceState(window.history.state, '', address)
  }

  #notify(): void {
    for (const listener of this.#listeners) listener()
  }
}

const viewState = new ViewState()

/** Mounted once inside the router. */
export function useAdoptLocation(): void {
  const location = useLocation()
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key tells of every navigation, also to the same query
  useLayoutEffect(() => viewState.adopt(location.search), [location.key, location.search])
}

/** A text parameter; the fallback is not written to the address. */
export function useViewText(key: string, fallback: string): [string, (value: string) => void] {
  const text = useSyncExternalStore(viewState.subscribe, () => viewState.get(key)) ?? fallback
  const set = useCallback(
    (value: string) => viewState.set(key, value === fallback ? null : value),
    [key, fallback],
  )
  return [text, set]
}

/** One of a few words; anything else in the address counts as the fallback. */
export function useViewChoice<T extends string>(
  key: string,
  choices: readonly T[],
  fallback: T,
): [T, (value: T) => void] {
  const [text, set] = useViewText(key, fallback)
  return [(choices as readonly string[]).includes(text) ? (text as T) : fallback, set]
}

export function useViewFlag(key: string, fallback = false): [boolean, (value: boolean) => void] {
  const [text, setText] = useViewText(key, fallback ? '1' : '0')
  const set = useCallback((value: boolean) => setText(value ? '1' : '0'), [setText])
  return [text === '1', set]
}

export function useViewNumber(key: string, fallback: number): [number, (value: number) => void] {
  const [text, setText] = useViewText(key, String(fallback))
  const number = Number(text)
  const set = useCallback((value: number) => setText(String(value)), [setText])
  return [Number.isFinite(number) ? number : fallback, set]
}

/** A list of ids, comma-separated. */
export function useViewList(key: string): [string[], (value: readonly string[]) => void] {
  const [text, setText] = useViewText(key, '')
  const list = useMemo(() => text.split(',').filter((item) => item !== ''), [text])
  const set = useCallback((value: readonly string[]) => setText(value.join(',')), [setText])
  return [list, set]
}
