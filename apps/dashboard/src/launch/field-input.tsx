/** One setting of the form: the right control for its schema, with label, unit, help and what is wrong with it. */
import {
  Autocomplete,
  Checkbox,
  Group,
  Input,
  type InputWrapperProps,
  SegmentedControl,
  Select,
  Switch,
  TagsInput,
  Text,
  TextInput,
} from '@mantine/core'
import { useContext } from 'react'
import { FormContext, type FormState } from './form-context.ts'
import { ListField } from './list-field.tsx'
import { NumberField } from './number-field.tsx'
import { getAt } from './path.ts'
import { childrenOf, type Field, initialValues } from './schema.ts'

type Props = {
  field: Field
  /** Path in the configuration, e.g. `optimizer.learningRate`. */
  path: string
}

export function FieldInput({ field, path }: Props) {
  const form = useContext(FormContext)
  const value = getAt(form.values, path)
  const change = (next: unknown) => form.change(path, next)
  const findings = form.findings.filter((finding) => finding.path === path)
  const errors = findings.filter((finding) => finding.severity === 'error')
  const warnings = findings.filter((finding) => finding.severity === 'warning')
  const told = (list: typeof findings) =>
    list.map((finding) => (finding.hint ? `${finding.message}: ${finding.hint}` : finding.message)).join('; ')
  const wrapper: Pick<InputWrapperProps, 'label' | 'description' | 'error' | 'inputWrapperOrder'> = {
    label: (
      <>
        {field.title}
        {field.unit ? (
          <Text span size="xs" c="dimmed" fw={400}>
            {' '}
            {field.unit}
          </Text>
        ) : null}
      </>
    ),
    description: (
      <>
        {field.description}
        {warnings.length > 0 ? (
          <Text span size="xs" c="var(--mantine-color-orange-text)" display="block" role="status">
            {told(warnings)}
          </Text>
        ) : null}
      </>
    ),
    error: errors.length > 0 ? told(errors) : null,
    inputWrapperOrder: ['label', 'input', 'error', 'description'],
  }

  switch (field.kind) {
    case 'number':
      return (
        <NumberField
          {...wrapper}
          data-path={path}
          integer={field.integer}
          logarithmic={field.logarithmic}
          placeholder={field.nullable ? 'empty' : ''}
          value={value}
          onChange={change}
        />
      )
    case 'text': {
      const offers = form.offers[offerPath(path)]
      const text = value === null || value === undefined ? '' : String(value)
      const set = (next: string) => change(next === '' && field.nullable ? null : next)
      return offers ? (
        <Autocomplete {...wrapper} data-path={path} value={text} onChange={set} data={offers} />
      ) : (
        <TextInput
          {...wrapper}
          data-path={path}
          value={text}
          onChange={(event) => set(event.currentTarget.value)}
        />
      )
    }
    case 'flag':
      return (
        <Switch
          data-path={path}
          label={wrapper.label}
          description={wrapper.description}
          error={wrapper.error}
          checked={value === true}
          onChange={(event) => change(event.currentTarget.checked)}
        />
      )
    case 'choice': {
      const data = field.options.map((option) => ({ value: String(option), label: String(option) }))
      const set = (next: string | null) =>
        next !== null && change(field.options.find((option) => String(option) === next))
      return data.length <= 3 ? (
        <Input.Wrapper {...wrapper} labelElement="div">
          <SegmentedControl
            fullWidth
            size="xs"
            mb={4}
            aria-label={field.title}
            data={data}
            value={String(value)}
            onChange={set}
          />
        </Input.Wrapper>
      ) : (
        <Select
          {...wrapper}
          data-path={path}
          data={data}
          value={String(value)}
          onChange={set}
          allowDeselect={false}
        />
      )
    }
    case 'choices':
      return (
        <Checkbox.Group {...wrapper} value={Array.isArray(value) ? value.map(String) : []} onChange={change}>
          <Group gap="sm" my={6}>
            {field.options.map((option) => (
              <Checkbox key={option} size="xs" value={option} label={option} />
            ))}
          </Group>
        </Checkbox.Group>
      )
    case 'words':
      return (
        <TagsInput
          {...wrapper}
          value={Array.isArray(value) ? value.map(String) : []}
          onChange={(words) => change(words.length === 0 && field.nullable ? null : words)}
        />
      )
    case 'list':
      return (
        <ListField
          field={field}
          path={path}
          value={value}
          wrapper={wrapper}
          entry={(place) => <FieldInputs fields={field.fields} path={place} />}
        />
      )
    case 'object':
      if (field.nullable) {
        return (
          <>
            <Switch
              label={field.title}
              description={wrapper.description}
              checked={value !== null}
              onChange={(event) => change(event.currentTarget.checked ? initialValues(field.fields) : null)}
            />
            {value === null ? null : <FieldInputs fields={field.fields} path={path} />}
          </>
        )
      }
      return <FieldInputs fields={field.fields} path={path} />
    case 'wordOrObject': {
      const isWord = value === field.word
      return (
        <>
          <Switch
            label={`${field.title}: ${field.word}`}
            description={wrapper.description}
            checked={isWord}
            onChange={(event) =>
              change(
                event.currentTarget.checked
                  ? field.word
                  : { ...initialValues(field.fields), ...literalStart },
              )
            }
          />
          {isWord ? null : <FieldInputs fields={field.fields} path={path} />}
        </>
      )
    }
    case 'variants': {
      const chosen = String(getAt(value, field.discriminator))
      return (
        <>
          <Select
            label={field.title}
            data={field.variants.map((variant) => variant.value)}
            value={chosen}
            allowDeselect={false}
            onChange={(next) => {
              const variant = field.variants.find((candidate) => candidate.value === next)
              if (variant) change({ [field.discriminator]: next, ...initialValues(variant.fields) })
            }}
          />
          <FieldInputs fields={childrenOf(field, value)} path={path} />
        </>
      )
    }
    default:
      return field satisfies never
  }
}

/** Entries of a list take the same files: sources of a mix as a source alone, benchmarks each as the others. */
function offerPath(path: string): string {
  return path
    .replace(/^data\.source\.sources\.\d+\.source\./, 'data.source.')
    .replace(/^evaluation\.benchmarks\.\d+\./, 'evaluation.benchmarks.')
}

/** The paper’s mute scalar, where the literal form is first chosen. */
const literalStart = { literal: 1e-16 }

function isShown(form: FormState, field: Field, place: string): boolean {
  if (!form.shows(place)) return false
  return (
    !field.advanced || form.all || form.isChanged(place) || form.findings.some(({ path: at }) => at === place)
  )
}

/** Whether anything of a group of settings is shown. */
export function isGroupShown(form: FormState, group: Field): boolean {
  if (group.kind !== 'object') return isShown(form, group, group.key)
  return group.fields.some((field) => isShown(form, field, `${group.key}.${field.key}`))
}

/** Several settings; advanced ones only when asked for, or when something is wrong with them or was changed. */
export function FieldInputs({ fields, path }: { fields: readonly Field[]; path: string }) {
  const form = useContext(FormContext)
  return fields
    .filter((field) => isShown(form, field, path === '' ? field.key : `${path}.${field.key}`))
    .map((field) => {
      const place = path === '' ? field.key : `${path}.${field.key}`
      return <FieldInput key={place} field={field} path={place} />
    })
}
