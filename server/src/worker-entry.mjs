/**
 * The one entry of every worker thread: teaches the thread to load TypeScript, then loads `workerData.entry`,
 * the URL of the module that does the work. (`execArgv: ['--import', 'tsx']` does not reach a worker's entry
 * on Node 20.)
 */
import { workerData } from 'node:worker_threads'
import { register } from 'tsx/esm/api'

register()
await import(workerData.entry)
