/** Which nodes hold a run, and how several nodes together make room for one. Pure. */
import { deviceSlots, type Gang, type GangMember, type Reach } from '@rankscope/protocol'
import type { StoredRun } from '../store/store.ts'
import type { SchedulerNode } from './place.ts'

/** The nodes of a run's attempt, the one that leads first; empty where one node, or none, has it. */
export function gangOf({ progress }: Pick<StoredRun, 'progress'>): readonly GangMember[] {
  return progress.gang ?? []
}

export function nodesOf(run: Pick<StoredRun, 'progress' | 'nodeId'>): string[] {
  const gang = gangOf(run).map(({ nodeId }) => nodeId)
  if (gang.length > 0) return gang
  return run.nodeId === null ? [] : [run.nodeId]
}

/** Slots of a node that the run takes, if it is held. */
export function slotsOn(run: StoredRun, nodeId: string): number {
  const gang = gangOf(run)
  if (gang.length > 0) return gang.find((member) => member.nodeId === nodeId)?.devices ?? 0
  return run.nodeId === nodeId ? deviceSlots(run.config) : 0
}

export type FreeNode = { node: SchedulerNode; free: number }

/**
 * All or nothing: as few nodes as hold `devices` together, from `candidates` in their order of preference among nodes
 * with equally much room. `leader`, where given, is the first of them. Null where there is not enough room.
 */
export function gather(
  candidates: readonly FreeNode[],
  devices: number,
  leader: SchedulerNode | null,
): Gang | null {
  const ways = new Set(candidates.flatMap(({ node }) => (node.reach ? wayOf(node.reach) : [])))
  const gangs = [...ways].flatMap((way) => gatherBy(way, candidates, devices, leader) ?? [])
  return gangs.sort((left, right) => left.length - right.length)[0] ?? null
}

/** Nodes for which it is the same can start ranks on one another. */
function wayOf({ launcher, allocation = '' }: Reach): string {
  return `${launcher} ${allocation}`
}

function gatherBy(
  way: string,
  candidates: readonly FreeNode[],
  devices: number,
  leader: SchedulerNode | null,
): [Gang] | null {
  const reachable = candidates
    .filter(({ node, free }) => node.reach && wayOf(node.reach) === way && free > 0)
    .sort((left, right) => {
      const leads = ({ node }: FreeNode) => Number(node.nodeId === leader?.nodeId)
      return leads(right) - leads(left) || right.free - left.free
    })
  if (leader && reachable[0]?.node.nodeId !== leader.nodeId) return null
  const gang: Gang = []
  let missing = devices
  for (const { node, free } of reachable) {
    const { nodeId, name, reach } = node
    // Two daemons of one host are one to mpirun: their ranks could not be told apart.
    if (!reach || gang.some((member) => member.reach.address === reach.address)) continue
    const taken = Math.min(free, missing)
    gang.push({ nodeId, name, devices: taken, reach })
    missing -= taken
    if (missing === 0) return [gang]
  }
  return null
}

/** What stands in the way of a run with one process per device. */
export function whyNot(nodes: readonly FreeNode[], devices: number): string {
  const rooms = nodes.map(({ node, free }) => {
    const alone = node.reach === null ? ', and shares no run: it was started without --launcher' : ''
    return `${node.name} has ${Math.max(0, free)} of ${node.slots} free${alone}`
  })
  return `${devices} device slots, of one node or of several with the same --launcher: ${rooms.join('; ')}`
}
