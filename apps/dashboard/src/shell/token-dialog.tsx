/** Says that the server was started with another token, and asks for it. A page without any is the server’s own. */
import { Button, Group, Modal, PasswordInput, Stack, Text } from '@mantine/core'
import { useLocation } from 'react-router'
import { basePath } from '../api/base-path.ts'
import { useIsRefused } from '../api/session.ts'

export function TokenDialog() {
  const isRefused = useIsRefused()
  const { pathname, search } = useLocation()
  return (
    <Modal
      opened={isRefused}
      onClose={() => {}}
      withCloseButton={false}
      title="Token is no longer valid"
      centered
    >
      {/* Sent as a form, answered with a cookie: the token stays out of reach of scripts. */}
      <form method="post" action={`${basePath}login`}>
        <Stack>
          <Text size="sm">
            The server was started with another token. Open the address that it printed, or enter the token
            from it. Runs go on meanwhile.
          </Text>
          <input type="hidden" name="next" value={pathname + search} />
          <PasswordInput
            label="Token"
            name="token"
            autoComplete="current-password"
            required
            withAsterisk={false}
            data-autofocus
          />
          <Group justify="flex-end">
            <Button type="submit">Continue</Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  )
}
