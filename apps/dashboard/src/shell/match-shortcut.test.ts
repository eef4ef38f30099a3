import { expect, it } from 'vitest'
import { matchShortcut, type Shortcut } from './match-shortcut.ts'

const shortcut = (keys: string): Shortcut => ({ keys, group: '', label: '', run: () => {} })
const shortcuts = [shortcut('g r'), shortcut('t'), shortcut(' ')]

it('a pair needs both keys in order, a single key only itself', () => {
  expect(matchShortcut(shortcuts, 'g', null)).toEqual({ run: null, pending: 'g' })
  expect(matchShortcut(shortcuts, 'r', 'g').run).toBe(shortcuts[0])
  expect(matchShortcut(shortcuts, 'r', null)).toEqual({ run: null, pending: null })
  expect(matchShortcut(shortcuts, 't', null).run).toBe(shortcuts[1])
  expect(matchShortcut(shortcuts, ' ', null).run).toBe(shortcuts[2])
})
