/** What can happen to the processes of a stack and to the link between them. Each fault is over when its promise resolves. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Draw } from '../draw.ts'
import type { ChaosStack } from './chaos-stack.ts'

export interface Fault {
  /** How often it is drawn, beside the others. */
  readonly weight: number
  /** False where there was nothing to hurt. */
  run(stack: ChaosStack, draw: Draw): Promise<boolean>
}

export const faults = {
  'kill the server': {
    weight: 3,
    async run(stack, draw) {
      await stack.killServer()
      await delay(draw.between(0, 2000))
      await stack.startServer()
      return true
    },
  },
  'kill the daemon': {
    weight: 3,
    async run(stack, draw) {
      await stack.killNode()
      await delay(draw.between(0, 1000))
      await stack.startNode()
      return true
    },
  },
  'kill a run': { weight: 4, run: async (stack, draw) => signal(draw.pick(stack.runProcesses()), 'SIGKILL') },
  'freeze the server': {
    weight: 3,
    run: (stack, draw) => freeze([stack.serverProcess], draw.between(500, 6000)),
  },
  'freeze the daemon': {
    weight: 3,
    run: (stack, draw) => freeze([stack.nodeProcess], draw.between(500, 14_000)),
  },
  'freeze a run': {
    weight: 3,
    run: (stack, draw) => freeze(stack.runProcesses().slice(0, 1), draw.between(500, 4000)),
  },
  'cut the link': {
    weight: 5,
    async run(stack) {
      stack.proxy.cut()
      return true
    },
  },
  'silence the link': {
    weight: 2,
    async run(stack, draw) {
      stack.proxy.fallSilent()
      await delay(draw.between(500, 8000))
      stack.proxy.speak()
      return true
    },
  },
  'kill daemon and server together': {
    weight: 1,
    async run(stack) {
      await Promise.all([stack.killServer(), stack.killNode()])
      await stack.startServer()
      await stack.startNode()
      return true
    },
  },
} as const satisfies Record<string, Fault>

export type FaultName = keyof typeof faults

/** Sleep of the whole machine: every process stands still. */
export async function sleepAll(stack: ChaosStack, ms: number): Promise<boolean> {
  return freeze([...stack.runProcesses(), stack.nodeProcess, stack.serverProcess], ms)
}

async function freeze(processes: readonly number[], ms: number): Promise<boolean> {
  const frozen = processes.filter((processId) => signal(processId, 'SIGSTOP'))
  await delay(ms)
  for (const processId of frozen) signal(processId, 'SIGCONT')
  return frozen.length > 0
}

function signal(processId: number | undefined, name: NodeJS.Signals): boolean {
  if (processId === undefined) return false
  try {
    return process.kill(processId, name)
  } catch {
    // Gone meanwhile.
    return false
  }
}
