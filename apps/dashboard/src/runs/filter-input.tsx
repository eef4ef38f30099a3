/** The filter bar: completes fields, operators and values while one types, and points at what it does not understand. */
import { Combobox, Text, TextInput, useCombobox } from '@mantine/core'
import type { RunView } from '@rankscope/protocol'
import { IconSearch } from '@tabler/icons-react'
import { type RefObject, useState } from 'react'
import { completions } from './filter-completion.ts'
import type { FilterError } from './filter-tokens.ts'

type Props = {
  value: string
  onChange: (value: string) => void
  error: FilterError | null
  fields: readonly string[]
  runs: readonly RunView[]
  input: RefObject<HTMLInputElement | null>
}

export function FilterInput({ value, onChange, error, fields, runs, input }: Props) {
  const [caret, setCaret] = useState(value.length)
  const combobox = useCombobox({ onDropdownClose: () => combobox.resetSelectedOption() })
  const offered = combobox.dropdownOpened ? completions(value, caret, fields, runs) : []
  const follow = () => setCaret(input.current?.selectionStart ?? value.length)
  const complete = (index: number) => {
    const chosen = offered[index]
    if (!chosen) return
    const before = `${value.slice(0, chosen.from)}${chosen.text} `
    const next = before + value.slice(chosen.to).trimStart()
    onChange(next)
    setCaret(before.length)
    // After React has written the text.
    requestAnimationFrame(() => input.current?.setSelectionRange(before.length, before.length))
  }
  return (
    <Combobox store={combobox} onOptionSubmit={(index) => complete(Number(index))} withinPortal={false}>
      <Combobox.Target>
        <TextInput
          ref={input}
          flex={1}
          miw={220}
          aria-label="Search runs"
          placeholder={'method = hd-pissa and rank >= 16 and 1e-5 < lr < 1e-3'}
          leftSection={<IconSearch size={15} />}
          value={value}
          error={error ? <Mistake text={value} error={error} /> : null}
          onChange={(event) => {
            onChange(event.currentTarget.value)
            setCaret(event.currentTarget.selectionStart ?? event.currentTarget.value.length)
            combobox.openDropdown()
          }}
          onSelect={follow}
          onClick={() => combobox.openDropdown()}
          onBlur={() => combobox.closeDropdown()}
          onKeyDown={(event) => {
            if (event.key !== 'Escape') return
            if (combobox.dropdownOpened && offered.length > 0) combobox.closeDropdown()
            else event.currentTarget.blur()
          }}
        />
      </Combobox.Target>
      <Combobox.Dropdown hidden={offered.length === 0}>
        <Combobox.Options mah={260} style={{ overflowY: 'auto' }} aria-label="Completions">
          {offered.map((one, index) => (
            <Combobox.Option key={one.text} value={String(index)}>
              <Text size="sm" ff="monospace">
                {one.text}
              </Text>
            </Combobox.Option>
          ))}
        </Combobox.Options>
      </Combobox.Dropdown>
    </Combobox>
  )
}

/** The filter once more, the part that is not understood marked, and why. */
function Mistake({ text, error }: { text: string; error: FilterError }) {
  const part = text.slice(error.at, error.to)
  return (
    <span data-testid="filter-error">
      <span style={{ fontFamily: 'var(--mantine-font-family-monospace)' }}>
        {text.slice(0, error.at)}
        <mark>{part === '' ? '␣' : part}</mark>
        {text.slice(error.to)}
      </span>{' '}
      character {error.at + 1}: {error.message}
    </span>
  )
}
