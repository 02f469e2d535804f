/**
 * gRPC dials ports and sockets only: where the daemon is behind a WebSocket, it dials a socket in the host's directory,
 * and whatever comes and goes there is passed on as it is. The bytes are TLS from end to end; nothing here can read them.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'

import type { DaemonAddress } from './daemon-address.ts'
import { openWire } from './wire.ts'

export interface Forwarder {
  /** The socket's path. */
  readonly path: string
  /** Why the WebSocket could not be opened; undefined when it could: what came then is for those at its ends. */
  readonly fault: () => string | undefined
  close(): void
}

/** What a socket's path may have, by the kernel: 108 bytes with the last a zero. */
const longestPath = 107
const openMs = 10_000

/** Dials the daemon once for each connection that it is given; the end of either side ends the other. */
export async function startForwarder(directory: string, address: DaemonAddress): Promise<Forwarder> {
  const { path, remove } = await socketPath(directory)
  const closing = new AbortController()
  const open = new Set<Socket>()
  let fault: string | undefined
  const server = createServer((local) => {
    open.add(local)
    local.once('close', () => open.delete(local))
    // Until the other side is there its errors are nobody's.
    local.on('error', () => undefined)
    openWire(address, { timeoutMs: openMs, signal: closing.signal }).then(
      (wire) => {
        fault = undefined
        pipeline(local, wire, local).catch(() => local.destroy())
      },
      (error: unknown) => {
        fault = error instanceof Error ? error.message : String(error)
        local.destroy()
      },
    )
  })
  await rm(path, { force: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  await chmod(path, 0o600)
  return {
    path,
    fault: () => fault,
    close: () => {
      closing.abort()
      server.close()
      for (const local of open) local.destroy()
      void remove()
    },
  }
}

let forwarders = 0

async function socketPath(directory: string): Promise<{ path: string; remove: () => Promise<void> }> {
  // A name of its own: the one before may be just closing, which removes its path.
  forwarders += 1
  const name = `wire-${process.pid}-${forwarders}`
  const path = join(directory, name)
  if (Buffer.byteLength(path) <= longestPath) return { path, remove: () => rm(path, { force: true }) }
  const short = await mkdtemp(join(tmpdir(), 'muster-'))
  return { path: join(short, name), remove: () => rm(short, { recursive: true, force: true }) }
}
