import { expect, it } from 'vitest'
import { emptyText, loadedNote } from './empty-text.ts'

const ended = { state: 'finished' } as const
const going = { state: 'running' } as const

it('a run is said to have ended without something only when its history is here', () => {
  expect(emptyText('spectrum', [ended], { ready: 0, error: null })).toBe('Loading …')
  expect(emptyText('spectrum', [ended], { ready: 1, error: null })).toBe('The run ended without a spectrum.')
  expect(emptyText('evaluation', [ended, ended], { ready: 2, error: null })).toBe(
    'The runs ended without an evaluation.',
  )
  expect(emptyText('spectrum', [ended, going], { ready: 2, error: null })).toBe(
    'Waiting for the first spectrum …',
  )
  expect(emptyText('spectrum', [ended], { ready: 0, error: new Error('no connection') })).toContain(
    'no connection',
  )
})

it('half a picture says that it is half', () => {
  expect(loadedNote(4, 3)).toBe('3 of 4 runs loaded')
  expect(loadedNote(4, 4)).toBeNull()
})
