/**
 * What mpirun runs in place of ssh, with a host and a command: hands both to the process that leads the run, which has the
 * daemon of that host start Open MPI's daemon there. Ends when that one has ended, with its exit code.
 */
import { createConnection } from 'node:net'
import { MessageReader, writeMessage } from './rank-messages.ts'

export interface FromAgent {
  readonly host: string
  readonly words: readonly string[]
}
export interface ToAgent {
  readonly status: number
  readonly text: string
}

const [socket, ...options] = process.argv.slice(2) as [string, ...string[]]
const first = options.findIndex((word) => !word.startsWith('-'))
const host = options[first]!
const connection = createConnection(socket)
const leave = ({ status, text }: ToAgent) => {
  if (text !== '') process.stderr.write(`${host}: ${text}\n`)
  process.exit(status)
}
const reader = new MessageReader((value) => leave(value as ToAgent))
connection.on('data', (part) => reader.push(part))
connection.on('error', ({ message }) => leave({ status: 1, text: message }))
connection.on('close', () => leave({ status: 1, text: '' }))
writeMessage(connection, { host, words: options.slice(first + 1) } satisfies FromAgent)
