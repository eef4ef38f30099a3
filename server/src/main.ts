/** `node launch/launch.mjs server/src/main.ts`: the server until SIGTERM or SIGINT. */
import { parseArgs } from 'node:util'
import { createForOwnerOnly, endOnFault, leaveWithParent } from '@rankscope/launch'
import { errorPayload, RankscopeError } from '@rankscope/protocol'
import { defaultOptions, startServer } from './start-server.ts'

const usage = `Usage: server [--port 7777] [--host 127.0.0.1] [--base-path /] [--data .rankscope/server] [--token T] [--node-token T]

  --port N        port to listen on; 0 takes any free one
  --host ADDRESS  address to listen on
  --base-path P   where the pages lie behind a proxy, e.g. /rankscope/
  --data DIR      folder of the database and of the tokens
  --token T       browsers’ token (or RANKSCOPE_TOKEN); kept in DIR/browser-token, made up where none is given
  --node-token T  nodes’ token (or RANKSCOPE_NODE_TOKEN); kept in DIR/node-token, likewise
`

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      port: { type: 'string' },
      host: { type: 'string' },
      'base-path': { type: 'string' },
      data: { type: 'string' },
      token: { type: 'string' },
      'node-token': { type: 'string' },
      help: { type: 'boolean' },
    },
  })
  if (values.help) {
    process.stdout.write(usage)
    return
  }
  createForOwnerOnly()
  const server = await startServer({
    port: values.port === undefined ? defaultOptions.port : parsePort(values.port),
    host: values.host ?? defaultOptions.host,
    basePath: parseBasePath(values['base-path'] ?? '/'),
    dataFolder: values.data ?? '.rankscope/server',
    token: values.token ?? process.env['RANKSCOPE_TOKEN'] ?? null,
    nodeToken: values['node-token'] ?? process.env['RANKSCOPE_NODE_TOKEN'] ?? null,
  })
  process.stdout.write(`Rankscope is ready: ${server.address}\n`)
  // Not one of them is expected; none is worth ending the server for, with the runs that rely on it.
  process.on('unhandledRejection', (error) => server.app.log.error(error))
  let isClosing = false
  const leave = () => {
    if (isClosing) process.exit(1)
    isClosing = true
    server.close().then(
      () => process.exit(0),
      (error: unknown) => fail(error),
    )
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, leave)
  leaveWithParent(leave)
}

function parsePort(text: string): number {
  const port = Number(text)
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new RankscopeError('CONFIG_INVALID', `--port ${text} is not a port`, { hint: 'take 0 to 65535' })
  return port
}

/** With a slash at both ends. */
function parseBasePath(text: string): string {
  const path = text.replace(/^\/*/, '/').replace(/\/*$/, '/')
  if (!/^\/([\w.~-]+\/)*$/.test(path) || /\/\.+\//.test(path))
    throw new RankscopeError('CONFIG_INVALID', `--base-path ${text} is no path`, {
      hint: 'letters, digits and - . _ ~ between slashes, such as /rankscope/',
    })
  return path
}

function fail(error: unknown): never {
  const { code, message, hint } = errorPayload(error)
  process.stderr.write(`${code}: ${message}\n${hint ? `hint: ${hint}\n` : ''}`)
  process.exit(1)
}

endOnFault((error) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
  fail(error)
})
main().catch(fail)
