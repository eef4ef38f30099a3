/** `npm run evaluate` as a person runs it: scores, items, going on, refusals. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { launchCommand } from '@rankscope/launch'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rankscope-evaluate-'))
  const rows = Array.from({ length: 5 }, (_, index) => ({
    question: `What is ${index} + 1?`,
    answer: `#### ${index + 1}`,
  }))
  writeFileSync(join(folder, 'gsm8k.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function evaluate(...options: string[]) {
  const [program, ...args] = launchCommand(new URL('./evaluate.ts', import.meta.url), ...options)
  return spawnSync(program, args, { encoding: 'utf8' })
}

describe('npm run evaluate', () => {
  it('keeps every item with its verdict, goes on where it was left, and says the protocol beside the score', () => {
    const out = join(folder, 'out')
    const given = ['--model', 'rankscope-mini', '--benchmark', 'gsm8k', '--data', folder, '--out', out]
    const common = ['--threads', '1', '--tokens', '4', '--batch', '2']
    const first = evaluate(...given, ...common, '--limit', '3')
    expect(first.status, first.stderr).toBe(0)
    expect(first.stdout).toMatch(
      /^GSM8K +[\d.]+ ± [\d.]+ % of 3 {2}\[accuracy; pissa 1, zero-shot, greedy, at most 4 tokens\]/,
    )
    const file = join(out, 'gsm8k.items.jsonl')
    const before = readFileSync(file, 'utf8').trim().split('\n')
    expect(before).toHaveLength(4)
    expect(JSON.parse(before[1]!)).toMatchObject({
      id: 'gsm8k/0',
      reference: '1',
      correct: expect.any(Boolean),
      completion: expect.any(String),
    })

    // A torn last line, as a kill leaves it: that item and the new ones are answered, the others taken over.
    writeFileSync(file, `${before.slice(0, 3).join('\n')}\n${before[3]!.slice(0, 20)}`)
    const second = evaluate(...given, ...common)
    expect(second.status, second.stderr).toBe(0)
    expect(second.stderr).toContain('GSM8K: 2 of 5')
    const after = readFileSync(file, 'utf8').trim().split('\n')
    expect(after.slice(0, 4)).toEqual(before)
    expect(after).toHaveLength(6)
    const { scores } = JSON.parse(readFileSync(join(out, 'scores.json'), 'utf8')) as {
      scores: { items: number; isComplete: boolean }[]
    }
    expect(scores).toEqual([expect.objectContaining({ items: 5, isComplete: true })])
  }, 120_000)

  it('refuses what it cannot do before anything is loaded, with what there is', () => {
    expect(evaluate('--model', 'x')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('CONFIG_INVALID'),
    })
    const wrong = evaluate('--model', 'rankscope-mini', '--benchmark', 'gsm9k', '--out', join(folder, 'none'))
    expect(wrong).toMatchObject({ status: 2, stderr: expect.stringMatching(/NOT_FOUND.*\n.*humaneval/) })
    expect(
      evaluate(
        '--model',
        'rankscope-mini',
        '--benchmark',
        'mbpp',
        '--data',
        folder,
        '--out',
        join(folder, 'none'),
      ).stderr,
    ).toContain('DATA_NOT_FOUND')
    expect(existsSync(join(folder, 'none'))).toBe(false)
  })
})
