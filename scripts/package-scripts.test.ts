import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const { scripts } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  scripts: Record<string, string>
}

describe('the scripts of package.json', () => {
  it.each(Object.keys(scripts))(
    'npm runs %s alone: no other script is named as its pre- or post-script',
    (name) => {
      expect(scripts).not.toHaveProperty(`pre${name}`)
      expect(scripts).not.toHaveProperty(`post${name}`)
    },
  )
})
