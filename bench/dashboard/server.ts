/** The server of a checkout as a process of its own, with the dashboard that was built there. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export async function startServerAt(
  root: string,
  data: string,
): Promise<{ address: string; stop: () => Promise<void> }> {
  const args = [
    join(root, 'launch/launch.mjs'),
    join(root, 'server/src/main.ts'),
    '--port',
    '0',
    '--data',
    data,
  ]
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
  })
  const address = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const found = /^Rankscope is ready: (\S+)/.exec(line)?.[1]
      if (found) resolve(found)
    })
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
  })
  return {
    address,
    stop: async () => {
      child.kill('SIGTERM')
      await gone
    },
  }
}
