import { once } from 'node:events'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'

import { parseDaemonAddress } from '../../../src/manager/daemon-address.ts'
import { startForwarder } from '../../../src/manager/web-socket-forwarder.ts'
import type { Forwarder } from '../../../src/manager/web-socket-forwarder.ts'
import { eventually } from '../../support/eventually.ts'

let directory: string
let server: WebSocketServer
let accepted: WebSocket[]
let forwarder: Forwarder

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-forwarder-'))
  accepted = []
  server = new WebSocketServer({ host: '127.0.0.1', port: 0, path: '/v1/managers' })
  server.on('connection', (webSocket) => accepted.push(webSocket))
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  forwarder = await startForwarder(directory, parseDaemonAddress(`ws://127.0.0.1:${port}/v1/managers`))
})

afterEach(async () => {
  forwarder.close()
  for (const webSocket of accepted) webSocket.terminate()
  server.close()
  await rm(directory, { recursive: true, force: true })
})

async function dial() {
  const local = connect(forwarder.path)
  local.on('error', () => undefined)
  const count = accepted.length
  const far = await eventually(() => accepted[count])
  return { local, far }
}

it('is a socket that only its owner may open, and is gone when closed', async () => {
  expect((await stat(forwarder.path)).mode & 0o777).toBe(0o600)
  forwarder.close()
  await eventually(async () => (await readdir(directory)).length === 0)
})

it('passes bytes both ways as they are', async () => {
  const { local, far } = await dial()
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
  local.write(bytes)
  const [heard, isBinary] = (await once(far, 'message')) as [Buffer, boolean]
  expect([heard, isBinary]).toEqual([bytes, true])
  far.send(bytes)
  expect(await once(local, 'data')).toEqual([bytes])
})

it('holds back who writes while the other side does not read, either way', async () => {
  const { local, far } = await dial()
  const pulse = await pulses()
  far.pause()
  // Only what the sockets' and streams' own buffers take is gone from here.
  expect(await takenBytes((chunk, onTaken) => local.write(chunk, onTaken), pulse)).toBeLessThan(mostBytes)
  far.resume()

  const { local: reader, far: writer } = await dial()
  reader.pause()
  expect(await takenBytes((chunk, onTaken) => writer.send(chunk, onTaken), pulse)).toBeLessThan(mostBytes)
})

it('ends one side with the other, and says why nothing could be opened', async () => {
  const first = await dial()
  first.local.destroy()
  await once(first.far, 'close')
  const second = await dial()
  second.far.terminate()
  await once(second.local, 'close')
  expect(forwarder.fault()).toBeUndefined()
  server.close()
  const third = connect(forwarder.path)
  third.on('error', () => undefined)
  await once(third, 'close')
  expect(forwarder.fault()).toMatch(/ECONNREFUSED|socket hang up/)
})

/** More than all the buffers on the way hold. */
const mostBytes = 64 * 1024 * 1024

/** How many bytes are taken, of `mostBytes`, by whoever passes them on. */
async function takenBytes(
  write: (chunk: Buffer, onTaken: () => void) => void,
  pulse: () => Promise<void>,
): Promise<number> {
  const chunk = Buffer.alloc(256 * 1024)
  let taken = 0
  for (let written = 0; taken === written && written < mostBytes;) {
    written += chunk.length
    write(chunk, () => (taken += chunk.length))
    // Whatever can move has moved when others have come and gone so often beside it: a chunk is a few reads.
    for (let count = 0; taken < written && count < 50; count += 1) await pulse()
  }
  return taken
}

/** A byte there and back on another connection of the same forwarder, whose turns of the event loop are ours too. */
async function pulses(): Promise<() => Promise<void>> {
  const { local, far } = await dial()
  return async () => {
    const there = once(far, 'message')
    local.write('.')
    await there
    const back = once(local, 'data')
    far.send('.')
    await back
  }
}
