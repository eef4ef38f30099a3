/** Asks for the access token when the server refuses us. */
import { Button, Group, Modal, PasswordInput, Stack, Text } from '@mantine/core'
import { RankscopeError } from '@rankscope/protocol'
import { type FormEvent, useState } from 'react'
import { useRuns } from '../api/queries.ts'
import { storeToken } from '../api/token.ts'

export function TokenDialog() {
  const { error } = useRuns()
  const [token, setToken] = useState('')
  const refused = error instanceof RankscopeError && error.code === 'UNAUTHORIZED'
  const submit = (event: FormEvent) => {
    event.preventDefault()
    storeToken(token.trim())
    window.location.reload()
  }
  return (
    <Modal opened={refused} onClose={() => {}} withCloseButton={false} title="Access token" centered>
      <form onSubmit={submit}>
        <Stack>
          <Text size="sm">The server asks for the token that it printed when it started.</Text>
          <PasswordInput
            label="Token"
            value={token}
            onChange={(event) => setToken(event.currentTarget.value)}
            data-autofocus
          />
          <Group justify="flex-end">
            <Button type="submit" disabled={token.trim() === ''}>
              Continue
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  )
}
