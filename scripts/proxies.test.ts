/** The nginx and Caddy examples of docs/guide.md, in front of a real server. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { browserNamespace, protocolVersion, socketPlace, wireParser } from '@rankscope/protocol'
import { io } from 'socket.io-client'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type RunningServer, startServer } from '../server/src/start-server.ts'

const guide = readFileSync(new URL('../docs/guide.md', import.meta.url), 'utf8')
/** The block of code of that language, as the guide prints it. */
const example = (language: string) => guide.match(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``))![1]!

const isThere = (program: string) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0

async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const { port } = probe.address() as { port: number }
  await new Promise((resolve) => probe.close(resolve))
  return port
}

const proxies = [
  {
    name: 'nginx',
    start: (folder: string, port: number, serverPort: number) => {
      const site = example('nginx').replace('7777', String(serverPort))
      const config = `daemon off; pid ${folder}/pid; error_log stderr; events {}
http { access_log off; client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder};
uwsgi_temp_path ${folder}; scgi_temp_path ${folder}; server { listen 127.0.0.1:${port}; ${site} } }`
      writeFileSync(join(folder, 'nginx.conf'), config)
      return spawn('nginx', ['-c', join(folder, 'nginx.conf'), '-e', 'stderr'], { stdio: 'pipe' })
    },
  },
  {
    name: 'caddy',
    start: (folder: string, port: number, serverPort: number) => {
      const site = example('caddyfile')
        .replace('lab.example {', `http://127.0.0.1:${port} {`)
        .replace('7777', String(serverPort))
      writeFileSync(join(folder, 'Caddyfile'), `{\n admin off\n auto_https off\n}\n${site}`)
      const environment = { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }
      return spawn('caddy', ['run', '--config', join(folder, 'Caddyfile'), '--adapter', 'caddyfile'], {
        stdio: 'pipe',
        env: environment,
      })
    },
  },
]

describe.each(proxies)('behind $name', ({ name, start }) => {
  const absent = isThere(name) ? '' : `: skipped, ${name} is not installed`
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-proxy-'))
  let server: RunningServer
  let proxy: ChildProcess | undefined
  let place: string

  beforeAll(async () => {
    if (absent !== '') return
    server = await startServer({ port: 0, dataFolder: join(folder, 'data'), basePath: '/rankscope/' })
    const port = await freePort()
    proxy = start(folder, port, server.port)
    place = `http://127.0.0.1:${port}/rankscope/`
    await vi.waitFor(async () => expect((await fetch(place)).status).toBe(401), { timeout: 20_000 })
  })
  afterAll(async () => {
    proxy?.kill()
    await server?.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const html = { accept: 'text/html' }

  it.skipIf(absent !== '')(`the token leads in, once, below the path${absent}`, async () => {
    const login = await fetch(place, { headers: html })
    expect(login.status).toBe(401)
    expect(await login.text()).toContain('action="/rankscope/login"')
    const first = await fetch(`${place}?token=${server.browserToken}`, { headers: html, redirect: 'manual' })
    expect(first.status).toBe(303)
    expect(first.headers.get('location')).toBe('/rankscope/')
    const cookie = first.headers.get('set-cookie')!
    expect(cookie).toContain('Path=/rankscope/')
    const headers = { cookie: cookie.split(';')[0]! }
    expect((await fetch(`${place}api/health`, { headers })).status).toBe(200)
    expect((await fetch(`${place}api/health`)).status).toBe(401)
    const elsewhere = await fetch(new URL('/api/health', place), { headers })
    expect(elsewhere.status).toBe(404)
  })

  it.skipIf(absent !== '')(
    `the page of the proxy opens the live socket, another does not${absent}`,
    async () => {
      const first = await fetch(`${place}?token=${server.browserToken}`, {
        headers: html,
        redirect: 'manual',
      })
      const cookie = first.headers.get('set-cookie')!.split(';')[0]!
      const { url, path } = socketPlace(place, browserNamespace)
      const outcome = (origin: string) =>
        new Promise<string>((resolve) => {
          const socket = io(url, {
            path,
            parser: wireParser(browserNamespace),
            transports: ['websocket'],
            extraHeaders: { cookie, origin },
            auth: { protocolVersion },
            reconnection: false,
            forceNew: true,
          })
          socket.on('connect', () => resolve('in'))
          socket.on('connect_error', () => resolve('refused'))
          socket.on('connect', () => socket.close())
        })
      expect(await outcome(new URL(place).origin)).toBe('in')
      expect(await outcome('http://evil.example')).toBe('refused')
    },
  )
})
