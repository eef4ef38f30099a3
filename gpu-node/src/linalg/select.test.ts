import { afterEach, beforeEach, expect, test, vi } from 'vitest'

// The choice is made once per thread, so that each test loads the module anew.
beforeEach(() => vi.resetModules())
afterEach(() => vi.unstubAllEnvs())

const select = async () => (await import('./select.ts')).selectLinearAlgebra()

test('the first that this machine has is chosen, with the reasons against those before it', async () => {
  const { algebra, rejected } = await select()
  const order = ['cuda', 'lapack', 'tensorflow', 'portable']
  expect(rejected.map(({ name }) => name)).toEqual(order.slice(0, order.indexOf(algebra.name)))
  for (const { reason } of rejected) expect(reason).not.toBe('')
})

test('RANKSCOPE_LINEAR_ALGEBRA insists on one', async () => {
  vi.stubEnv('RANKSCOPE_LINEAR_ALGEBRA', 'portable')
  expect((await select()).algebra.name).toBe('portable')
})

test('a RANKSCOPE_LINEAR_ALGEBRA that is none, or not here, is an error that names the choices', async () => {
  vi.stubEnv('RANKSCOPE_LINEAR_ALGEBRA', 'matlab')
  await expect(select()).rejects.toMatchObject({
    code: 'SETUP_MISSING',
    message: expect.stringContaining('RANKSCOPE_LINEAR_ALGEBRA is matlab: there is no such linear algebra'),
    hint: expect.stringContaining('cuda, lapack, tensorflow, portable'),
  })
  vi.stubEnv('RANKSCOPE_LINEAR_ALGEBRA', 'tensorflow')
  vi.stubEnv('RANKSCOPE_TFJS_NODE', '/nowhere')
  await expect(select()).rejects.toMatchObject({
    message: expect.stringContaining('/nowhere: not installed'),
  })
})
