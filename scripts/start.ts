/** `npm start`: server, dashboard and one node on this machine, until Ctrl-C. */
import { parseArgs } from 'node:util'
import { fail, stackOptions, stackUsage, startStack } from './stack-command.ts'

const usage = `usage: npm start -- [options]

${stackUsage}`

async function main(): Promise<void> {
  const { values } = parseArgs({ options: stackOptions })
  if (values.help) {
    console.log(usage)
    return
  }
  const stack = await startStack(values, { slots: null })
  console.log(`\n  Dashboard   ${stack.server.address}`)
  console.log(`  More nodes  npm run node -- --server ${stack.server.url} --token ${stack.server.nodeToken}`)
  console.log(`  Logs        ${stack.logs}\n`)
  const node = await stack.node
  console.log('The local node is online. Ctrl-C ends everything; runs go on from a checkpoint next time.')
  const ended = await Promise.race([
    stack.server.gone.then((how) => `the server ended: ${how}`),
    node.gone.then((how) => `the node ended: ${how}`),
  ])
  if (!stack.isEnding()) console.log(`${ended}; see ${stack.logs}`)
  await stack.end()
}

main().catch(fail)
