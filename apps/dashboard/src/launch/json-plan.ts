/** Runs from JSON that a person wrote. Pure. */
import { checkRunConfig, type RunConfig, runConfigSchema } from '@rankscope/protocol'
import type { Finding } from './draft.ts'

export type JsonPlan = {
  configs: RunConfig[]
  findings: Finding[] /** Not even JSON. */
  problem: string | null
}

/** One configuration or a list; findings of several are told by their position. */
export function planFromJson(text: string): JsonPlan {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return { configs: [], findings: [], problem: error instanceof Error ? error.message : String(error) }
  }
  const items = Array.isArray(value) ? value : [value]
  const configs: RunConfig[] = []
  const findings: Finding[] = []
  items.forEach((item, index) => {
    const place = (path: string) => (items.length > 1 ? `[${index}] ${path}` : path)
    const parsed = runConfigSchema.safeParse(item)
    if (parsed.success) {
      configs.push(parsed.data)
      for (const finding of checkRunConfig(parsed.data))
        findings.push({ ...finding, path: place(finding.path), method: null })
    } else {
      for (const issue of parsed.error.issues) {
        const path = place(issue.path.map(String).join('.') || '(top level)')
        findings.push({ severity: 'error', path, message: issue.message, hint: null, method: null })
      }
    }
  })
  const wrong = findings.some((finding) => finding.severity === 'error')
  return { configs: wrong ? [] : configs, findings, problem: null }
}
