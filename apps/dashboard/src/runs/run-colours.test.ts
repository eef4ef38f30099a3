import { describe, expect, it } from 'vitest'
import { assignColours, colourOf, dashesOf, palette } from './run-colours.ts'

const runs = ['a', 'b', 'c', 'd'].map((runId, index) => ({ runId, createdMs: index }))

describe('run colours', () => {
  it('runs created after one another differ in colour', () => {
    const assigned = assignColours({}, runs)
    expect(new Set(runs.map((run) => colourOf(assigned[run.runId], 'light'))).size).toBe(4)
  })
  it('deleting a run changes no other run’s colour, nor does the order in which runs are listed', () => {
    const assigned = assignColours({}, [...runs].reverse())
    expect(assigned).toEqual({ a: 0, b: 1, c: 2, d: 3 })
    const later = assignColours(assigned, [...runs.slice(2), { runId: 'e', createdMs: 9 }])
    expect(later).toEqual({ ...assigned, e: 4 })
    expect(assignColours(later, runs)).toBe(later)
  })
  it('runs shown together with one colour differ in dash', () => {
    expect(dashesOf([0, 1, palette.length, 2 * palette.length])).toEqual(['solid', 'solid', 'dash', 'dot'])
  })
})
