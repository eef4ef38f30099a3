/** The settings in sections: each method’s own under tabs, then what all runs share. */
import { Paper, SimpleGrid, Stack, Tabs, TagsInput, Text } from '@mantine/core'
import { type MethodName, methodLabels } from '@rankscope/protocol'
import { useContext } from 'react'
import { useViewText } from '../common/view-state.ts'
import type { Changes, Draft, Finding } from './draft.ts'
import { isOwnPath } from './draft.ts'
import { FieldInputs, isGroupShown } from './field-input.tsx'
import { FormContext, type FormState } from './form-context.ts'
import { configFields, fieldAt, groupTitle } from './schema.ts'
import { useOffers } from './use-offers.ts'

type Props = {
  draft: Draft
  changes: Changes
  findings: readonly Finding[]
  change: (path: string, value: unknown) => void
  all: boolean
}

/** Sections of shared settings; a setting that none of them names stands under Run. */
const sections: readonly { title: string; keys: readonly string[] }[] = [
  { title: 'Model and data', keys: ['model', 'data', 'targetModules'] },
  { title: 'Training', keys: ['training', 'optimizer', 'schedule'] },
  { title: 'What is measured', keys: ['evaluation', 'spectra'] },
  { title: 'What is kept', keys: ['checkpoint', 'export'] },
]
const placed = new Set(['method', ...sections.flatMap((section) => section.keys)])
const runKeys = configFields.map((field) => field.key).filter((key) => !placed.has(key))

export function LaunchForm({ draft, changes, findings, change, all }: Props) {
  const [tabText, setTab] = useViewText('method', '')
  const tab = draft.methods.find((method) => method === tabText) ?? draft.methods[0]
  const offers = useOffers()
  const shared = draft.configs.values().next().value
  const sharedForm: FormState = {
    values: shared,
    change,
    isChanged: (path) => changes[path] !== undefined,
    findings: findings.filter((finding) => finding.method === null),
    all,
    // Seeds stand as a list of their own.
    shows: (path) => !isOwnPath(path) && path !== 'seed',
    offers,
  }
  return (
    <Stack gap="md">
      <Paper withBorder p="md" component="section" aria-label="Method settings">
        <Text fw={600} mb="xs">
          Method settings
        </Text>
        <Tabs value={tab ?? null} onChange={(value) => value !== null && setTab(value)} variant="outline">
          <Tabs.List mb="md">
            {draft.methods.map((method) => {
              const wrong = findings.some(
                (finding) => finding.method === method && finding.severity === 'error',
              )
              return (
                <Tabs.Tab key={method} value={method} {...(wrong ? { color: 'red', c: 'red' } : {})}>
                  {methodLabels[method]}
                  {wrong ? ' !' : ''}
                </Tabs.Tab>
              )
            })}
          </Tabs.List>
          {tab ? (
            <FormContext
              value={{
                ...sharedForm,
                values: draft.configs.get(tab),
                change: (path, value) => change(`@${tab}.${path}`, value),
                isChanged: (path) => changes[`@${tab}.${path}`] !== undefined,
                findings: findings.filter((finding) => finding.method === tab),
                shows: isOwnPath,
              }}
            >
              <OwnFields config={draft.configs.get(tab)} method={tab} />
            </FormContext>
          ) : null}
        </Tabs>
      </Paper>
      <FormContext value={sharedForm}>
        {sections.map((section) => (
          <Section key={section.title} title={section.title} keys={section.keys} />
        ))}
        <Paper withBorder p="md" component="section" aria-label="Run">
          <Text fw={600} mb="xs">
            Run
          </Text>
          <SimpleGrid cols={{ base: 1, sm: 2, xl: 3 }} spacing="md">
            <TagsInput
              label="Seeds"
              description="One run per seed; compare shows their mean and spread."
              inputWrapperOrder={['label', 'input', 'error', 'description']}
              value={draft.seeds.map(String)}
              onChange={(words) => {
                const seeds = words.map(Number).filter((seed) => Number.isInteger(seed) && seed >= 0)
                if (seeds.length > 0) change('seeds', seeds)
              }}
              splitChars={[',', ' ']}
            />
            <Fields keys={runKeys} />
          </SimpleGrid>
        </Paper>
      </FormContext>
    </Stack>
  )
}

/** A method’s own settings; beside them what else differs between methods of one comparison (ownPaths). */
function OwnFields({ config, method }: { config: unknown; method: MethodName }) {
  const field = fieldAt(config, 'method')
  const own =
    field?.kind === 'variants' ? field.variants.find((variant) => variant.value === method) : undefined
  return (
    <SimpleGrid cols={{ base: 1, sm: 2, xl: 3 }} spacing="md">
      <FieldInputs fields={own?.fields ?? []} path="method" />
      <FieldInputs fields={childFields('optimizer', 'learningRate')} path="optimizer" />
      <FieldInputs fields={childFields('optimizer', 'maxGradNorm')} path="optimizer" />
      <FieldInputs fields={childFields('schedule', 'warmupRounding')} path="schedule" />
      <FieldInputs fields={childFields('parallel', 'devices')} path="parallel" />
    </SimpleGrid>
  )
}

function childFields(group: string, key: string) {
  const field = configFields.find((candidate) => candidate.key === group)
  return field?.kind === 'object' ? field.fields.filter((child) => child.key === key) : []
}

function Section({ title, keys }: { title: string; keys: readonly string[] }) {
  const form = useContext(FormContext)
  const shown = keys.filter((key) => {
    const group = configFields.find((field) => field.key === key)
    return group !== undefined && isGroupShown(form, group)
  })
  return (
    <Paper withBorder p="md" component="section" aria-label={title}>
      <Text fw={600} mb="xs">
        {title}
      </Text>
      {shown.map((key) => (
        <div key={key}>
          {shown.length > 1 ? (
            <Text size="sm" c="dimmed" fw={500} mt="sm" mb={6}>
              {groupTitle(key)}
            </Text>
          ) : null}
          <SimpleGrid cols={{ base: 1, sm: 2, xl: 3 }} spacing="md">
            <Fields keys={[key]} />
          </SimpleGrid>
        </div>
      ))}
    </Paper>
  )
}

function Fields({ keys }: { keys: readonly string[] }) {
  return <FieldInputs fields={configFields.filter((field) => keys.includes(field.key))} path="" />
}
