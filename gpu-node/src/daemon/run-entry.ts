/** The process of one run, forked by the daemon. */
import { executeRun } from '../run/run.ts'
import { serveRun } from './run-child.ts'

serveRun(executeRun)
