/**
 * `npm run demo`: server, dashboard and one node on this machine, and on it the built-in comparison: LoRA, PiSSA,
 * HD-PiSSA and full fine-tuning side by side on the same data. Ends with a table; the dashboard stays until Ctrl-C.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import {
  type ComparisonMethod,
  comparison,
  comparisonBase,
  comparisonMethodNames,
  isSettled,
  RankscopeError,
  type RunConfig,
  type RunView,
} from '@rankscope/protocol'
import { ApiClient } from './api-client.ts'
import { demoGroup, interruptedDemo } from './interrupted-demo.ts'
import { comparisonTable, progressLine } from './run-lines.ts'
import { fail, integer, stackOptions, stackUsage, startStack } from './stack-command.ts'

const usage = `usage: npm run demo -- [options]

  --runs A,B      only these of ${comparisonMethodNames.join(', ')}
  --steps N       end each run after so many steps
  --exit          end after the table
  --new           launch new runs even where a demo was interrupted; its runs are stopped
${stackUsage}`

const refreshMs = 500

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      ...stackOptions,
      runs: { type: 'string' },
      steps: { type: 'string' },
      exit: { type: 'boolean' },
      new: { type: 'boolean' },
    },
  })
  if (values.help) {
    console.log(usage)
    return
  }
  const configs = chosenRuns(values.runs, values.steps)
  // All four at once, a thread each: that they can be watched side by side is worth more than a faster first one.
  const stack = await startStack(values, { slots: configs.length })
  const { address, url, token } = stack.server
  console.log(`\n  Dashboard  ${address}\n`)
  const api = new ApiClient(url, token)
  const created = (await interrupted(api, configs, values.new ?? false)) ?? (await launch(api, configs))
  await stack.node
  const runs = await watch(
    api,
    created.map(({ runId }) => runId),
  )

  console.log(`\n${comparisonTable(runs)}\n`)
  const failed = runs.filter((run) => run.state !== 'finished')
  for (const { name, state, error } of failed)
    console.log(`${name} ${state}${error === null ? '' : `: ${error.code}: ${error.message}`}`)
  if (values.exit) {
    await stack.end()
    process.exit(failed.length > 0 ? 1 : 0)
  }
  console.log(`The dashboard stays at ${address} until Ctrl-C.`)
}

/** The runs of an interrupted demo that go on, or null; with `isNew` they are stopped. */
async function interrupted(
  api: ApiClient,
  configs: readonly RunConfig[],
  isNew: boolean,
): Promise<RunView[] | null> {
  const found = interruptedDemo(await api.runs(), configs)
  if (found === null) return null
  if (!isNew) {
    console.log('The demo that was interrupted goes on from its checkpoints (--new launches another) …')
    return found
  }
  for (const { runId, state } of found) if (!isSettled(state)) await api.command(runId, 'stop')
  return null
}

function launch(api: ApiClient, configs: readonly RunConfig[]): Promise<RunView[]> {
  console.log(`Launching ${configs.length} runs; the node starts …`)
  return api.createRuns(configs)
}

function chosenRuns(names: string | undefined, steps: string | undefined): RunConfig[] {
  const methods = names === undefined ? comparisonMethodNames : names.split(',').map(comparisonMethod)
  const training =
    steps === undefined
      ? comparisonBase.training
      : { ...comparisonBase.training, maxSteps: integer(steps, '--steps', 1) }
  return comparison(demoGroup(new Date()), methods, { ...comparisonBase, training })
}

function comparisonMethod(name: string): ComparisonMethod {
  const found = comparisonMethodNames.find((method) => method === name)
  if (found === undefined)
    throw new RankscopeError('CONFIG_INVALID', `--runs: there is no ${name} in the comparison`, {
      hint: `choose from ${comparisonMethodNames.join(', ')}`,
    })
  return found
}

/** A line per run, drawn anew in a terminal; elsewhere a line is printed when its run enters another phase. */
async function watch(api: ApiClient, runIds: readonly string[]): Promise<RunView[]> {
  const live = process.stdout.isTTY
  const told = new Map<string, string>()
  for (let drawn = false; ; drawn = true) {
    const runs = await Promise.all(runIds.map((runId) => api.run(runId)))
    const columns = live ? process.stdout.columns - 1 : undefined
    if (live && drawn) process.stdout.write(`\x1b[${runs.length}A`)
    for (const run of runs) {
      const line = progressLine(run).slice(0, columns)
      const milestone = `${run.state} ${run.phase?.phase} ${Math.floor((4 * run.step) / (run.totalSteps ?? 1))}`
      if (live) process.stdout.write(`\x1b[2K${line}\n`)
      else if (told.get(run.runId) !== milestone) console.log(line)
      told.set(run.runId, milestone)
    }
    if (runs.every((run) => isSettled(run.state))) return runs
    await delay(refreshMs)
  }
}

main().catch(fail)
