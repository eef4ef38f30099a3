/** The launchers of a run over two hosts, each with the real thing: sshd on both, Slurm's daemons on both. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runConfigSchema } from '@rankscope/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Cluster } from './cluster.ts'
import { type Hosts, hostsMissing } from './hosts.ts'

const missing = hostsMissing()
const lacks = (programs: readonly string[], packages: string) => {
  const absent = programs.filter((program) => spawnSync('which', [program]).status !== 0)
  return absent.length === 0 ? null : `skipped: ${absent.join(', ')} is not installed (Debian: ${packages})`
}
const sshMissing = missing ?? lacks(['/usr/sbin/sshd', 'ssh', 'ssh-keygen'], 'openssh-server, openssh-client')
const slurmMissing =
  missing ??
  lacks(['slurmctld', 'slurmd', 'srun', 'salloc', 'munged'], 'slurmctld, slurmd, slurm-client, munge')

const config = runConfigSchema.parse({
  model: { path: 'rankscope-mini' },
  data: { source: { kind: 'task', task: 'arithmetic', trainExamples: 8 } },
  method: { name: 'lora', rank: 2 },
  parallel: { devices: 2, mode: 'processes' },
  training: { globalBatchSize: 2, microBatchSize: 1, maxSteps: 2 },
  targetModules: ['q_proj'],
  evaluation: { atEnd: false },
  spectra: { everySteps: null, atEnd: false },
  resources: { backend: 'wasm' },
})

describe('a run over two hosts', { timeout: 300_000 }, () => {
  let folder: string
  let services: ChildProcess[]
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-launchers-'))
    services = []
  })
  afterEach(() => {
    for (const service of services) service.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })
  const serve = (command: string[], env: NodeJS.ProcessEnv = process.env) => {
    services.push(spawn(command[0]!, command.slice(1), { stdio: 'ignore', env }))
  }
  const trains = async (cluster: Cluster) => {
    const [run] = await cluster.api.createRuns([config])
    const { gang, step, attempt } = await cluster.until(run!.runId, ({ state }) => state === 'finished')
    expect(gang.map(({ name }) => name).sort()).toEqual(['host0', 'host1'])
    expect([step, attempt]).toEqual([2, 1])
    const ranks = () => [0, 1].flatMap((i) => cluster.leftOn(i).filter((line) => line.includes('rank-entry')))
    await expect.poll(ranks, { timeout: 10_000 }).toEqual([])
  }

  it.skipIf(sshMissing)(`is started by mpirun over ssh ${sshMissing ?? ''}`, async () => {
    for (const name of ['key', 'host-key'])
      execFileSync('ssh-keygen', ['-qt', 'ed25519', '-N', '', '-f', join(folder, name)])
    const settings = (lines: string[]) => `${lines.join('\n')}\n`
    writeFileSync(
      join(folder, 'sshd_config'),
      settings([
        `HostKey ${folder}/host-key`,
        `AuthorizedKeysFile ${folder}/key.pub`,
        'StrictModes no',
        'PermitRootLogin yes',
      ]),
    )
    writeFileSync(
      join(folder, 'ssh_config'),
      settings([
        `IdentityFile ${folder}/key`,
        'StrictHostKeyChecking no',
        `UserKnownHostsFile ${folder}/known-hosts`,
      ]),
    )
    // What the clients of these hosts are set up by, and nobody else on the machine.
    const prepared = `mount --bind ${folder} /etc/ssh`
    const cluster: Cluster = new Cluster('s', [1, 1], {
      launcher: 'ssh',
      inside: (index) => cluster.hosts.inside(index, prepared),
      async prepare(hosts) {
        mkdirSync('/run/sshd', { recursive: true })
        for (const i of [0, 1])
          serve([...hosts.inside(i), '/usr/sbin/sshd', '-De', '-f', join(folder, 'sshd_config')])
      },
    })
    try {
      await cluster.start()
      await trains(cluster)
    } finally {
      await cluster.end()
    }
  })

  it.skipIf(slurmMissing)(
    `is started by srun in the allocation of its daemons ${slurmMissing ?? ''}`,
    async () => {
      let job = ''
      const environment = { ...process.env, SLURM_CONF: join(folder, 'slurm.conf') }
      const cluster = new Cluster('l', [1, 1], {
        launcher: 'srun',
        inside: (index) => [
          ...['env', `SLURM_CONF=${environment.SLURM_CONF}`],
          ...['srun', `--jobid=${job}`, '--overlap', '--mpi=none', '-N1', '-n1', '-w', `host${index}`, 'env'],
          // The channel of this process does not reach there.
          ...['NODE_CHANNEL_FD', 'NODE_CHANNEL_SERIALIZATION_MODE', 'RANKSCOPE_WITH_PARENT'].flatMap(
            (name) => ['-u', name],
          ),
        ],
        async prepare(hosts) {
          job = await startSlurm(hosts, folder, environment, serve)
        },
      })
      try {
        await cluster.start()
        await trains(cluster)
      } finally {
        // While the controller is there to end what srun waits for.
        spawnSync('scancel', [job], { env: environment })
        await cluster.end()
      }
    },
  )
})

/** A controller beside the server and a daemon on each host; the number of a job that has both. */
async function startSlurm(
  hosts: Hosts,
  folder: string,
  environment: NodeJS.ProcessEnv,
  serve: (command: string[], env?: NodeJS.ProcessEnv) => void,
): Promise<string> {
  const nodes = [0, 1].map((i) => `NodeName=host${i} NodeAddr=${hosts.address(i)} CPUs=2`)
  const lines = [
    ...[
      'ClusterName=test',
      `SlurmctldHost=controller(${hosts.serverAddress})`,
      'SlurmUser=root',
      // On the machine itself, where other tests may have one.
      `SlurmctldPort=${20_000 + (process.pid % 10_000)}`,
    ],
    ...['SlurmdPort=26818', 'AuthType=auth/munge', `AuthInfo=socket=${folder}/munge.sock`],
    ...[`StateSaveLocation=${folder}/state`, `SlurmdSpoolDir=${folder}/spool-%n`, `TmpFS=${folder}/tmp-%n`],
    ...[`SlurmctldPidFile=${folder}/controller.pid`, `SlurmdPidFile=${folder}/%n.pid`],
    ...[`SlurmctldLogFile=${folder}/controller.log`, `SlurmdLogFile=${folder}/%n.log`],
    ...['ProctrackType=proctrack/linuxproc', 'TaskPlugin=task/none', 'SlurmdParameters=config_overrides'],
    ...['ReturnToService=2', ...nodes, 'PartitionName=all Nodes=ALL Default=YES State=UP'],
  ]
  writeFileSync(environment['SLURM_CONF']!, `${lines.join('\n')}\n`)
  for (const name of ['state', 'tmp-host0', 'tmp-host1']) mkdirSync(join(folder, name))
  writeFileSync(join(folder, 'munge.key'), 'k'.repeat(64), { mode: 0o600 })
  const munge = ['key-file', 'pid-file', 'log-file', 'seed-file'].map(
    (name) => `--${name}=${folder}/munge.${name.slice(0, -5)}`,
  )
  serve(['munged', '--foreground', '--force', `--socket=${folder}/munge.sock`, ...munge])
  await until(() => answers(join(folder, 'munge.sock')))
  serve(['unshare', '--uts', 'sh', '-c', 'hostname controller; exec slurmctld -D'], environment)
  for (const i of [0, 1]) serve([...hosts.inside(i), 'slurmd', '-D', '-N', `host${i}`], environment)
  const states = () =>
    spawnSync('sinfo', ['-h', '-o', '%T %D'], { env: environment, encoding: 'utf8' }).stdout
  await until(async () => /^idle +2$/m.test(states()))
  const { stderr } = spawnSync('salloc', ['-N2', '--no-shell'], { env: environment, encoding: 'utf8' })
  return /allocation (\d+)/.exec(stderr)![1]!
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path, () => {
      socket.end()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  await expect.poll(isSo, { timeout: 60_000, interval: 100 }).toBe(true)
}
