/** A number that may be written as people write it: 2e-5, 0.00002, or nothing where nothing is allowed. */
import { TextInput, type TextInputProps } from '@mantine/core'
import { type KeyboardEvent, useState } from 'react'
import { numberText, parseNumber } from './number-text.ts'

type Props = Omit<TextInputProps, 'value' | 'onChange'> & {
  value: unknown
  onChange: (value: unknown) => void
  integer: boolean
  logarithmic: boolean
}

export function NumberField({ value, onChange, integer, logarithmic, ...rest }: Props) {
  // The text as typed: “1e” on the way to “1e-4” is no number yet.
  const [typed, setTyped] = useState<{ text: string; value: unknown } | null>(null)
  const text = typed && Object.is(typed.value, value) ? typed.text : numberText(value)
  const change = (next: string) => {
    const parsed = parseNumber(next)
    setTyped({ text: next, value: parsed })
    onChange(parsed)
  }
  const step = (event: KeyboardEvent<HTMLInputElement>) => {
    if (typeof value !== 'number' || (event.key !== 'ArrowUp' && event.key !== 'ArrowDown')) return
    event.preventDefault()
    const up = event.key === 'ArrowUp'
    if (logarithmic) change(numberText(Number((up ? value * 2 : value / 2).toPrecision(6))))
    else if (integer) change(String(value + (up ? 1 : -1)))
  }
  return (
    <TextInput
      {...rest}
      inputMode={integer ? 'numeric' : 'decimal'}
      value={text}
      onChange={(event) => change(event.currentTarget.value)}
      onKeyDown={step}
      onBlur={() => setTyped(null)}
    />
  )
}
