/** Runs of one process per device, in the launch form of a server with two nodes that share runs and one that does not. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@playwright/test'
import { ApiClient } from '../scripts/api-client.ts'
import { type StackProcess, startNodeProcess, startServerProcess } from '../scripts/local-stack.ts'

const folder = mkdtempSync(join(tmpdir(), 'rankscope-devices-'))
const started: StackProcess[] = []
test.afterAll(async () => {
  for (const one of started) one.signal('SIGKILL')
  await Promise.all(started.map(({ gone }) => gone))
  rmSync(folder, { recursive: true, force: true })
})

test('the form says where the devices would go now, and why not elsewhere', async ({ page }) => {
  const common = { host: '127.0.0.1', port: 0, nodeToken: 'token-of-the-devices-test' }
  const log = (name: string) => join(folder, `${name}.log`)
  const server = await startServerProcess({ ...common, state: join(folder, 'server'), log: log('server') })
  started.push(server)
  const node = (name: string, slots: number, address: string | null) =>
    startNodeProcess({
      ...{ server, name, slots, threads: 1, models: [], data: [], log: log(name) },
      state: join(folder, name),
      ...(address !== null && { reach: { launcher: 'agent', address } as const }),
    })
  started.push(
    ...(await Promise.all([
      node('desk-a', 3, '10.0.0.5'),
      node('desk-b', 2, '10.0.0.6'),
      node('alone', 2, null),
    ])),
  )

  await page.goto(`${server.address}`)
  await page.goto(`${server.url}/launch`)
  for (const method of ['lora', 'pissa']) await page.getByTestId(`method-${method}`).click()
  const devices = page.getByLabel('Devices K')
  await page.getByLabel('All settings').click({ force: true })
  await page.getByRole('radiogroup', { name: 'Realisation' }).getByText('processes').click()
  const placement = page.getByTestId('placement')
  await expect(placement).toContainText('3 on desk-a, 1 on desk-b')
  await devices.fill('2')
  await expect(placement).toContainText(/2 on (desk-a|desk-b|alone)/)
  const api = new ApiClient(server.url, server.token)
  const { nodeId } = (await api.nodes()).find(({ hello }) => hello.name === 'desk-b')!
  await page.request.patch(`${server.url}/api/nodes/${nodeId}`, { data: { mode: 'draining' } })
  await devices.fill('4')
  await expect(placement).toContainText('waits for 4 device slots')
  await expect(placement).toContainText(
    'alone has 2 of 2 free, and shares no run: it was started without --launcher',
  )
})
