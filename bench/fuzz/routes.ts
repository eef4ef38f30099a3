/** Requests made from the server’s own OpenAPI: near what each route takes, and beside it. */
import { Chance, randomNumber, randomText, randomValue } from './random.ts'

export type RouteCounts = { requests: number; statuses: Record<string, number>; routes: number }

type Schema = Record<string, unknown>
type Operation = {
  parameters?: { name: string; in: string; schema: Schema }[]
  requestBody?: { content: Record<string, { schema: Schema }> }
}
type Route = { method: string; path: string; operation: Operation }

const headersOfEachAnswer = ['content-security-policy', 'x-content-type-options', 'referrer-policy']

/** Throws at an answer of 500 and more, one without a coded error, or without its headers. 127.0.0.1 only. */
export async function fuzzRoutes(
  server: { url: string; browserToken: string },
  seed: number,
  count: number,
): Promise<RouteCounts> {
  const chance = new Chance(seed)
  const authorization = `Bearer ${server.browserToken}`
  const document = (await (
    await fetch(`${server.url}/api/openapi.json`, { headers: { authorization } })
  ).json()) as { paths: Record<string, Record<string, Operation>> }
  const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(
      ([method, operation]): Route => ({ method: method.toUpperCase(), path, operation }),
    ),
  )
  /** What exists, so that some requests find something. */
  const known: string[] = []
  const statuses: Record<string, number> = {}
  for (let turn = 0; turn < count; turn++) {
    const route = chance.pick(routes)
    const method = chance.is(0.05) ? chance.pick(['PUT', 'OPTIONS', 'PATCH', 'DELETE', 'POST']) : route.method
    const url = `${server.url}${address(chance, route, known)}`
    const headers: Record<string, string> = chance.is(0.03) ? {} : { authorization }
    const body = method === 'GET' ? undefined : bodyOf(chance, route, headers)
    if (chance.is(0.1)) headers['accept'] = chance.pick(['text/html', '*/*', 'application/x-msgpack', ''])
    const response = await fetch(url, {
      method,
      headers,
      redirect: 'manual',
      signal: AbortSignal.timeout(30_000),
      ...(body === undefined ? {} : { body }),
    })
    const text = await response.text()
    const what = `${method} ${url} ${String(body).slice(0, 500)}: ${response.status} ${text.slice(0, 300)}`
    if (response.status >= 500) throw new Error(what)
    for (const name of headersOfEachAnswer)
      if (!response.headers.has(name)) throw new Error(`${name} is missing: ${what}`)
    if (response.status >= 400 && !/"code":"[A-Z_]+"/.test(text) && !text.startsWith('<!doctype html>'))
      throw new Error(`no coded error: ${what}`)
    statuses[response.status] = (statuses[response.status] ?? 0) + 1
    if (response.status === 201)
      known.push(...[...text.matchAll(/"runId":"([^"]+)"/g)].map((found) => found[1]!))
  }
  return { requests: count, statuses, routes: routes.length }
}

/** A run that is created, so that there is something to find, rename, stop and delete. */
const whole = {
  configs: [{ data: { source: { kind: 'task', task: 'arithmetic' } }, method: { name: 'lora' } }],
}

function address(chance: Chance, { path, operation }: Route, known: readonly string[]): string {
  const filled = path.replace(/\{[^}]+\}/g, () =>
    chance.is(0.5) && known.length > 0
      ? chance.pick(known)
      : chance.is(0.2)
        ? chance.pick(['%', '%00', '%ff', '..%2f', '.', '..', '%2e%2e'])
        : encodeURIComponent(randomText(chance, 20)) || 'x',
  )
  const query = (operation.parameters ?? [])
    .filter((parameter) => parameter.in === 'query' && chance.is(0.4))
    .map(({ name, schema }) => {
      const value = chance.is(0.6) ? fitting(chance, schema, 0.1) : randomText(chance)
      return `${name}=${encodeURIComponent(String(value))}`
    })
  if (chance.is(0.05)) query.push(chance.pick(['x=1', '%', 'token=wrong', '__proto__=1', 'a[b]=c', '=']))
  return query.length === 0 ? filled : `${filled}?${query.join('&')}`
}

function bodyOf(
  chance: Chance,
  { path, operation }: Route,
  headers: Record<string, string>,
): string | undefined {
  const schema = operation.requestBody?.content['application/json']?.schema
  if (schema === undefined && chance.is(0.8)) return undefined
  headers['content-type'] = chance.is(0.03)
    ? chance.pick(['text/plain', 'multipart/form-data', 'application/x-www-form-urlencoded', 'nonsense'])
    : 'application/json'
  if (path === '/api/runs' && chance.is(0.4)) return JSON.stringify(whole)
  const value = chance.is(0.1)
    ? randomValue(chance)
    : fitting(chance, schema ?? {}, chance.pick([0, 0, 0.02, 0.1]))
  const text = JSON.stringify(value) ?? ''
  return chance.is(0.05) ? text.slice(0, chance.below(text.length)) : text
}

/** What the schema asks for; `noise` is the share of values that are something else. */
function fitting(chance: Chance, schema: Schema, noise: number, depth = 12): unknown {
  if (depth === 0 || chance.is(noise)) return chance.is(0.5) ? randomNumber(chance) : randomText(chance)
  const options = (schema['anyOf'] ?? schema['oneOf'] ?? schema['enum']) as unknown[] | undefined
  if (options) {
    const option = chance.pick(options)
    return schema['enum'] ? option : fitting(chance, option as Schema, noise, depth - 1)
  }
  if ('const' in schema) return schema['const']
  if ('default' in schema && chance.is(0.5)) return schema['default']
  switch (schema['type']) {
    case 'object': {
      const properties = Object.entries((schema['properties'] ?? {}) as Record<string, Schema>)
      const required = (schema['required'] ?? []) as string[]
      const given = properties.filter(([name]) => required.includes(name) || chance.is(0.3))
      return Object.fromEntries(
        given.map(([name, inner]) => [name, fitting(chance, inner, noise, depth - 1)]),
      )
    }
    case 'array': {
      const length = chance.is(0.02) ? 300 : chance.below(3) + 1
      return Array.from({ length }, () =>
        fitting(chance, (schema['items'] ?? {}) as Schema, noise, depth - 1),
      )
    }
    case 'string':
      return chance.is(0.5) ? 'rankscope-mini' : randomText(chance)
    case 'integer':
      return Number(schema['minimum'] ?? 1) + chance.below(5)
    case 'number':
      return chance.is(0.7) ? chance.next() : randomNumber(chance)
    case 'boolean':
      return chance.is(0.5)
    default:
      return randomText(chance)
  }
}
