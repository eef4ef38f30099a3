import { describe, expect, it } from 'vitest'
import { encodeMessage } from './msgpack.ts'
import { wireParser } from './wire-parser.ts'

const { Decoder } = wireParser('/node', { elements: 50, depth: 8 })

function decoded(packet: unknown): unknown[] {
  const decoder = new Decoder()
  const packets: unknown[] = []
  decoder.on('decoded', (one) => packets.push(one))
  decoder.add(encodeMessage(packet))
  return packets
}
const nsp = '/node'

describe('the parser of packets', () => {
  it.each([
    [{ type: 0, nsp, data: { token: 'a' } }],
    [{ type: 0, nsp }],
    [{ type: 1, nsp }],
    [{ type: 2, nsp, data: ['hello', { a: NaN }], id: 0 }],
    [{ type: 3, nsp, data: [{ ok: true }], id: 7 }],
    [{ type: 4, nsp, data: { message: 'no' } }],
  ])('takes %j', (packet) => expect(decoded(packet)).toEqual([packet]))

  it.each([
    ['a login with null', { type: 0, nsp, data: null }],
    ['a login with a list', { type: 0, nsp, data: ['token'] }],
    ['a login with bytes', { type: 0, nsp, data: new Uint8Array(2) }],
    ['the default namespace', { type: 0, nsp: '/' }],
    ['another namespace', { type: 2, nsp: '/browser', data: ['hello'] }],
    ['an event whose name is an object', { type: 2, nsp, data: [{ toString: 1 }, 2] }],
    ['an event whose name is a number', { type: 2, nsp, data: [1] }],
    ['an event without a name', { type: 2, nsp, data: [] }],
    ...[
      'error',
      'connect',
      'connect_error',
      'disconnect',
      'disconnecting',
      'newListener',
      'removeListener',
      '__proto__',
      '',
    ].map((name): [string, unknown] => [
      `an event named ${JSON.stringify(name)}`,
      { type: 2, nsp, data: [name] },
    ]),
    ['a name of a megabyte', { type: 2, nsp, data: ['a'.repeat(2 ** 20)] }],
    ['more arguments than any event has', { type: 2, nsp, data: ['hello', 1, 2, 3, 4] }],
    ['an event with bytes for its arguments', { type: 2, nsp, data: new Uint8Array(3) }],
    ['an acknowledgement of nothing', { type: 3, nsp, data: [1] }],
    ['an acknowledgement without a list', { type: 3, nsp, data: { 0: 1 }, id: 1 }],
    ['a fraction for an id', { type: 2, nsp, data: ['hello'], id: 0.5 }],
    ['a negative id', { type: 3, nsp, data: [], id: -1 }],
    ['a bigint for an id', { type: 3, nsp, data: [], id: 2n ** 60n + 1n }],
    ['packets of binary attachments', { type: 5, nsp, data: ['hello'], attachments: 1 }],
    ['no type', { nsp, data: [] }],
    ['a type as text', { type: '2', nsp, data: ['hello'] }],
    ['null', null],
    ['a list', [2, nsp]],
    ['more values than its bounds', { type: 2, nsp, data: ['hello', Array(60).fill(0)] }],
  ])('refuses %s', (_, packet) => expect(() => decoded(packet)).toThrow())

  it('refuses frames of text', () => {
    for (const text of ['', '2["hello"]', '0/node,']) expect(() => new Decoder().add(text)).toThrow(TypeError)
  })
})
