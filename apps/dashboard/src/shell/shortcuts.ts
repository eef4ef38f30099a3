/** Keyboard shortcuts: single keys or two in a row (“g r”), never while typing. What is registered is what the help lists. */
import { useEffect, useRef, useSyncExternalStore } from 'react'
import { matchShortcut, type Shortcut } from './match-shortcut.ts'

type Registered = { current: readonly Shortcut[] }

const sequenceMs = 900
const registered = new Set<Registered>()
const listeners = new Set<() => void>()
let listed: readonly Shortcut[] = []
let prefix: { key: string; atMs: number } | null = null

function changed(): void {
  listed = [...registered].flatMap((entry) => [...entry.current])
  for (const listener of listeners) listener()
}

/** Active while the component is mounted. */
export function useShortcuts(shortcuts: readonly Shortcut[]): void {
  const entry = useRef(shortcuts)
  useEffect(() => {
    entry.current = shortcuts
  })
  useEffect(() => {
    registered.add(entry)
    changed()
    return () => {
      registered.delete(entry)
      changed()
    }
  }, [])
}

/** All shortcuts of what is on the screen. */
export function useListedShortcuts(): readonly Shortcut[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => listed,
  )
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName))
  )
}

/** Keys that a focused control uses itself. */
function belongsToControl(event: KeyboardEvent): boolean {
  const element = event.target
  if (!(element instanceof HTMLElement)) return false
  const role = element.getAttribute('role')
  if (event.key === ' ') return element.tagName === 'BUTTON' || role === 'checkbox' || element.tagName === 'A'
  return event.key.startsWith('Arrow') && (role === 'slider' || role === 'tab' || role === 'radio')
}

window.addEventListener('keydown', (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return
  if (isTyping(event.target) || belongsToControl(event)) return
  if (document.querySelector('[role="dialog"]')) return
  const current = [...registered].flatMap((entry) => [...entry.current])
  const pending = prefix && event.timeStamp - prefix.atMs < sequenceMs ? prefix.key : null
  const match = matchShortcut(current, event.key, pending)
  prefix = match.pending === null ? null : { key: match.pending, atMs: event.timeStamp }
  if (!match.run) return
  event.preventDefault()
  match.run.run()
})
