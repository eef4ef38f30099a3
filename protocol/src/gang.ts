/**
 * A gang: the nodes that hold the ranks of one run with one process per device (`parallel.mode: processes`). The first
 * node leads: it holds rank 0 and the run's records and checkpoints, starts the job and ends it. What the processes of a
 * run tell one another beside the job travels through the server, which passes it on among the nodes of the attempt only.
 */
import { z } from 'zod'
import { idSchema, nameLengths, nameSchema } from './name.ts'
import type { RunConfig } from './run-config.ts'

/** Who starts the ranks on the other hosts; chosen by the node's owner. docs/clusters.md tells them apart. */
export const launcherNames = ['agent', 'ssh', 'srun'] as const
export type LauncherName = (typeof launcherNames)[number]

/** How other nodes can reach a node's ranks. Nodes form a gang only with the same launcher, in the same allocation. */
export const reachSchema = z.strictObject({
  launcher: z.enum(launcherNames),
  /** What mpirun, ssh and Slurm call the host: an address or a host name. Never an option. */
  address: nameSchema(255).regex(/^[A-Za-z0-9][A-Za-z0-9._:@-]*$/, 'an address or a host name'),
  /** Slurm’s job in which the node was started; `srun` starts ranks in no other. */
  allocation: z.string().regex(/^\d+$/, 'the number of a job').max(20).optional(),
})
export type Reach = z.infer<typeof reachSchema>

export const gangMemberSchema = z.strictObject({
  nodeId: idSchema,
  /** For people. */
  name: nameSchema(nameLengths.name),
  /** Ranks there; they are counted on from the nodes before it. */
  devices: z.int().min(1).max(64),
  reach: reachSchema,
})
export type GangMember = z.infer<typeof gangMemberSchema>

/** Two nodes at least: a run on one node has none. The first leads. */
export const gangSchema = z.array(gangMemberSchema).min(2).max(64)
export type Gang = z.infer<typeof gangSchema>

/** From the process of a run on one node to the one of the same attempt on another. The body is theirs alone. */
export const gangMessageSchema = z.strictObject({
  runId: idSchema,
  attempt: z.int().min(1),
  from: idSchema,
  to: idSchema,
  body: z.instanceof(Uint8Array).refine((bytes) => bytes.length <= 2 ** 20, 'at most 1 MiB'),
})
export type GangMessage = z.infer<typeof gangMessageSchema>

/** Device slots that a run takes: one for all virtual devices together, one for each process. */
export function deviceSlots({ parallel }: Pick<RunConfig, 'parallel'>): number {
  return parallel.mode === 'processes' ? parallel.devices : 1
}
