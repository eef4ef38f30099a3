/**
 * The one entry of every worker thread: loads the packages named in `workerData.packages`, teaches the thread to
 * load TypeScript, then loads `workerData.entry`, the URL of the module that does the work. Packages of many files
 * load several times faster before than after the TypeScript hooks are in place. (`execArgv: ['--import', 'tsx']`
 * does not reach a worker's entry on Node 20.)
 */
import { workerData } from 'node:worker_threads'
import { register } from 'tsx/esm/api'

for (const name of workerData.packages) await import(name)
register()
await import(workerData.entry)
