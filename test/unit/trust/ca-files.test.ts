import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { text } from 'node:stream/consumers'

import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { openOwnAuthority, ownAuthorityPath, rotateOwn, writeCaFiles } from '../../../src/trust/ca-files.ts'
import { keyPairAndCsr } from '../../../src/trust/new-key.ts'
import { authorityFiles, caPassphrase } from '../../support/an-authority.ts'

const now = Date.now()
const dayMs = 86_400_000

let directory: string
beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'muster-ca-')), 'trust')
})
afterEach(() => rmSync(join(directory, '..'), { recursive: true }))

const own = (change: Partial<Parameters<typeof openOwnAuthority>[0]> = {}) =>
  openOwnAuthority({ directory, passphrase: caPassphrase, now, lifetimeS: 600, ...change })
/** As a first start would have left it. */
const made = async () => {
  expect(await writeCaFiles(join(directory, '00001'), await authorityFiles(), now)).toBe(true)
  return own()
}
const inFirst = (file: string) => join(directory, '00001', file)

function startProgram() {
  const child = spawn(process.execPath, ['test/support/own-authority-program.ts', directory, caPassphrase], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return { child, output: text(child.stdout), ended: once(child, 'exit') }
}

describe('the built-in database’s authority', () => {
  it('is made on first start, for this user only, and found again', async () => {
    const first = await own()
    expect(await own()).toMatchObject({ pins: first.pins, chain: first.chain })
    const modes = ['ca.pem', 'ca-key.pem', 'root-key.pem', '.'].map(
      (file) => statSync(inFirst(file)).mode & 0o777,
    )
    expect(modes).toEqual([0o644, 0o600, 0o600, 0o700])
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    for (const file of ['ca-key.pem', 'root-key.pem']) {
      expect(readFileSync(inFirst(file), 'utf8')).toMatch(/^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/)
    }
  })

  it('is refused when others may read a key, when its passphrase is another, when a file is gone', async () => {
    await made()
    await expect(own({ passphrase: 'wrong' })).rejects.toMatchObject({
      code: 'authority-unusable',
      details: [expect.stringMatching(/ca-key\.pem: cannot be decrypted: the passphrase is another/)],
    })
    for (const file of ['ca-key.pem', 'root-key.pem']) {
      chmodSync(inFirst(file), 0o640)
      await expect(own()).rejects.toThrow(`may be read by others (mode 640): chmod 600 ${inFirst(file)}`)
      chmodSync(inFirst(file), 0o600)
    }
    rmSync(inFirst('ca-key.pem'))
    await expect(own()).rejects.toThrow(/cannot be read: ENOENT.*ca-key\.pem/)
    expect(readdirSync(directory)).toEqual(['00001'])
  })

  it('is one, though several processes make it at once', async () => {
    const programs = [startProgram(), startProgram()]
    const pins = await Promise.all(programs.map(({ output }) => output))
    expect(pins[0]).toMatch(/^sha256\//)
    expect(new Set([...pins, ...(await own()).pins]).size).toBe(1)
    expect(readdirSync(directory)).toEqual(['00001'])
  })

  it('is whole or not there, whenever the process that makes it is killed', async () => {
    for (const files of [1, 2, 3]) {
      const { child, ended } = startProgram()
      // While the draft has so many files, or a moment later.
      while (child.exitCode === null && !drafts().some((draft) => countFiles(draft) >= files))
        await nextTurn()
      child.kill('SIGKILL')
      await ended
      const path = await ownAuthorityPath(directory)
      if (path !== undefined) await own()
      rmSync(join(directory, '00001'), { recursive: true, force: true })
    }
    expect((await made()).pins).toHaveLength(1)
    // What the kills have left is cleared away in time.
    await rotateOwn(directory, ['prepare'], caPassphrase, now + dayMs)
    expect(drafts()).toEqual([])
  })

  it('does not take a draft for an authority, nor an empty directory for one', async () => {
    mkdirSync(join(directory, '.draft-00001-1-x'), { recursive: true })
    const { certificates, keys } = await authorityFiles()
    writeFileSync(join(directory, '.draft-00001-1-x', 'ca.pem'), certificates)
    expect(await ownAuthorityPath(directory)).toBeUndefined()
    mkdirSync(join(directory, '00001'))
    expect(
      await writeCaFiles(join(directory, '00001'), { certificates, keys, rootKey: undefined }, now),
    ).toBe(true)
    expect(
      await writeCaFiles(join(directory, '00001'), { certificates: '', keys, rootKey: undefined }, now),
    ).toBe(false)
    expect((await own()).pins).toHaveLength(1)
    expect(drafts()).toHaveLength(1)
  })

  it('says so when the directory cannot be written', async () => {
    writeFileSync(directory, 'a file')
    await expect(own()).rejects.toMatchObject({ code: 'authority-unusable' })
  })
})

describe('the next issuing certificate', () => {
  it('follows by command, under the same pin, and the former is trusted until it is retired', async () => {
    const before = await made()
    expect(await rotateOwn(directory, ['prepare', 'activate'], caPassphrase, now)).toBe(
      join(directory, '00002'),
    )
    const after = await own()
    expect(after.pins).toEqual(before.pins)
    expect(after.issuer.name).not.toBe(before.issuer.name)
    expect(after.trusted).toEqual(expect.arrayContaining([...before.trusted]))
    await rotateOwn(directory, ['retire'], caPassphrase, now)
    expect((await own()).trusted).not.toEqual(expect.arrayContaining([...before.trusted]))
    // What went before stays on disk, as a way back.
    expect(readdirSync(directory)).toEqual(['00001', '00002', '00003'])
  })

  it('follows by itself at a start within 90 days of the end', async () => {
    const before = await made()
    const { notAfter } = before.issuer
    expect((await own({ now: notAfter - 91 * dayMs })).issuer.name).toBe(before.issuer.name)
    const late = notAfter - 89 * dayMs
    const after = await own({ now: late })
    expect(after.issuer.notAfter).toBeGreaterThan(notAfter + 200 * dayMs)
    const host = { fleetId: 'f', backendId: 'h', now: late }
    expect((await after.issueForHost({ csr: keyPairAndCsr().csrPem, ...host })).notAfter).toBeGreaterThan(
      late,
    )
    expect((await own({ now: late })).issuer.name).toBe(after.issuer.name)
    expect(existsSync(join(directory, '00003'))).toBe(false)
  })

  it('is noticed by who asks again, and nothing is opened anew before', async () => {
    const options = { directory, passphrase: caPassphrase, now, lifetimeS: 600 }
    const first = await made()
    expect(await openOwnAuthority(options, first)).toBe(first)
    await rotateOwn(directory, ['prepare', 'activate'], caPassphrase, now)
    const second = await openOwnAuthority(options, first)
    expect(second.issuer.name).not.toBe(first.issuer.name)
    expect(await openOwnAuthority(options, second)).toBe(second)
    const late = { ...options, now: second.issuer.notAfter - 89 * dayMs }
    expect((await openOwnAuthority(late, second)).issuer.name).not.toBe(second.issuer.name)
  })

  it('is made by one of two processes', async () => {
    await made()
    const both = await Promise.allSettled(
      [1, 2].map(() => rotateOwn(directory, ['prepare', 'activate'], caPassphrase, now)),
    )
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect((await own()).trusted).toHaveLength(3)
  })
})

function drafts(): readonly string[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory).filter((name) => name.startsWith('.draft-'))
}

function countFiles(draft: string): number {
  try {
    return readdirSync(join(directory, draft)).length
  } catch {
    return 0
  }
}
