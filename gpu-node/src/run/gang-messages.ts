/** What the processes of a run on several nodes tell one another, through daemons and server. */
import { networkInterfaces } from 'node:os'
import { deserialize, serialize } from 'node:v8'
import type { ErrorPayload } from '@rankscope/protocol'
import type { RunOutcome } from './environment.ts'
import type { Fingerprint } from './fingerprint.ts'

/** From the process that leads. */
export type ToFollower =
  /** Repeated until it is answered. */
  | { readonly type: 'greet' }
  /** Start Open MPI's daemon, once, with these arguments. */
  | { readonly type: 'launch'; readonly words: readonly string[] }
  | { readonly type: 'end' }

export type FromFollower =
  | {
      readonly type: 'ready'
      readonly command: readonly string[]
      readonly fingerprint: Fingerprint
      /** Networks of the host, as CIDR. */
      readonly networks: readonly string[]
    }
  | { readonly type: 'preparing' }
  | { readonly type: 'launched' }
  | { readonly type: 'ended'; readonly how: string; readonly status: number }
  | { readonly type: 'outcome'; readonly rank: number; readonly outcome: RunOutcome }
  | { readonly type: 'failed'; readonly error: ErrorPayload }

export function toBytes(message: ToFollower | FromFollower): Uint8Array<ArrayBuffer> {
  return new Uint8Array(serialize(message))
}

/** Both sides are ours and of one version; the server lets nobody else speak. */
export function fromBytes<Message extends ToFollower | FromFollower>(
  bytes: Uint8Array<ArrayBuffer>,
): Message {
  return deserialize(bytes) as Message
}

/** The network that an address of this host belongs to, e.g. 10.0.0.5/24; [] where it is none of this host. */
export function networksOf(address: string): string[] {
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  return own.flatMap((one) => (one.address === address && one.cidr !== null ? [one.cidr] : []))
}
