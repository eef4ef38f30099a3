import { expect, test } from 'vitest'
import { unitSkipReasons } from './skip-reasons.ts'

test('the reason is that of the test, else of the nearest group; without one that is said', () => {
  const result = (status: string, title: string, ...ancestorTitles: string[]) => ({
    status,
    title,
    ancestorTitles,
  })
  expect(
    unitSkipReasons([
      {
        assertionResults: [
          result('passed', 'runs'),
          result('failed', 'fails skipped: no'),
          result('skipped', 'a (skipped: no nvcc)', 'group skipped: no g++'),
          result('pending', 'b', 'outer', 'inner (skipped: mpirun is not installed (Debian: openmpi-bin))'),
          result('todo', 'c', 'group'),
        ],
      },
    ]),
  ).toEqual(['no nvcc', 'mpirun is not installed (Debian: openmpi-bin)', 'no reason in its name'])
})
