/** For the contract test: one rank of an MPI job, which writes what it found into the folder given to it. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openMpi } from '../../collectives/mpi.ts'
import { exercise } from './exercise.ts'

const collective = openMpi(Number(process.env['OMPI_COMM_WORLD_SIZE'] ?? process.env['PMI_SIZE']))
const found = await exercise(collective)
writeFileSync(join(process.argv[2]!, `${collective.rank}.json`), JSON.stringify(found))
await collective.close()
