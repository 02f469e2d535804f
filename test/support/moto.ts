/**
 * Moto's EC2 server: an API server that nobody here wrote. It starts no machines, ignores client tokens, and launches
 * MinCount machines where EC2 would launch MaxCount (ec2-proxy.ts mends the latter two).
 *
 * Its Python is that of MUSTER_MOTO_PYTHON, or of `.venv` (`make moto`). Where there is none, tests that need it are
 * skipped, and fail under MUSTER_REQUIRE_MOTO=1.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe } from 'vitest'

const python =
  process.env['MUSTER_MOTO_PYTHON'] ?? fileURLToPath(new URL('../../.venv/bin/python', import.meta.url))

/** It ends with its parent, however that ends: then its standard input does. */
const program = `
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
from moto.server import main
main(["-H", "127.0.0.1", "-p", "0"])
`

export interface Moto {
  /** Where it listens, on loopback. */
  readonly url: string
  readonly stop: () => Promise<void>
}

/** `describe`, skipped with a word about why where moto is missing. */
export function describeWithMoto(name: string, body: () => void): void {
  const isMissing = !existsSync(python)
  if (!isMissing || process.env['MUSTER_REQUIRE_MOTO'] === '1') describe(name, body)
  else describe.skip(`${name} (skipped: no moto at ${python}; run \`make moto\`)`, body)
}

export async function startMoto(): Promise<Moto> {
  if (!existsSync(python)) throw new Error(`there is no moto at ${python}: run \`make moto\``)
  const child = spawn(python, ['-c', program], {
    stdio: ['pipe', 'pipe', 'pipe'],
    // Its own thousand images take a minute to load.
    env: { ...process.env, MOTO_EC2_LOAD_DEFAULT_AMIS: 'false', PYTHONUNBUFFERED: '1' },
  })
  const url = await listeningAddress(child)
  return {
    url,
    stop: async () => {
      if (child.exitCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}

async function listeningAddress(child: ChildProcess): Promise<string> {
  const said: string[] = []
  const found = Promise.withResolvers<string>()
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue
    // The stream is read to its end: a server whose log nobody reads would stop at a full pipe.
    createInterface({ input: stream }).on('line', (line) => {
      if (said.length < 50) said.push(line)
      const address = /Running on (http:\/\/127\.0\.0\.1:\d+)/.exec(line)?.[1]
      if (address !== undefined) found.resolve(address)
    })
  }
  child.once('error', (error) => found.reject(error))
  child.once('exit', (code) =>
    found.reject(new Error(`moto ended with ${code ?? 'a signal'}: ${said.join('\n')}`)),
  )
  return found.promise
}
