import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { readPlatformInfo } from '../../../src/manager/platform-info.ts'

let root: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'muster-platform-'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

async function machine(files: Readonly<Record<string, string | Buffer>>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), content)
  }
}

const read = () => readPlatformInfo({ measurementFile: join(root, 'backend_info.json'), root })
const parsed = async () => JSON.parse((await read()).toString()) as Record<string, unknown>

const cpuinfo = `processor\t: 0
model name\t: AMD EPYC 7763 64-Core Processor
flags\t\t: fpu sme sev sev_es sev_snp

processor\t: 1
model name\t: AMD EPYC 7763 64-Core Processor
flags\t\t: fpu sme sev sev_es sev_snp
`

describe('what a manager tells of its machine', () => {
  it('is its kernel, system, processors, memory and TEE', async () => {
    await machine({
      'proc/sys/kernel/osrelease': '6.12.48\n',
      'etc/os-release': 'NAME="Debian GNU/Linux"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n',
      'proc/cpuinfo': cpuinfo,
      'proc/meminfo': 'MemTotal:       16384000 kB\nMemFree: 1 kB\n',
      'sys/module/kvm_amd/parameters/sev': 'Y\n',
      'sys/module/kvm_amd/parameters/sev_es': 'Y\n',
      'sys/module/kvm_amd/parameters/sev_snp': 'N\n',
    })
    expect(await parsed()).toEqual({
      kernel: '6.12.48',
      architecture: process.arch,
      os: 'Debian GNU/Linux 13 (trixie)',
      cpu: { model: 'AMD EPYC 7763 64-Core Processor', count: 2 },
      memory_bytes: 16384000 * 1024,
      tee: { kind: 'sev-es', role: 'host', flags: ['sme', 'sev', 'sev_es', 'sev_snp'] },
    })
  })

  it.each([
    [{ 'dev/sev-guest': '' }, { kind: 'sev-snp', role: 'guest' }],
    [{ 'dev/tdx_guest': '' }, { kind: 'tdx', role: 'guest' }],
    [{ 'proc/cpuinfo': 'flags\t: fpu tdx_guest\n' }, { kind: 'tdx', role: 'guest' }],
    [{ 'sys/module/kvm_amd/parameters/sev_snp': '1\n' }, { kind: 'sev-snp', role: 'host' }],
    [{ 'sys/module/kvm_amd/parameters/sev': '1\n' }, { kind: 'sev', role: 'host' }],
    [{ 'sys/module/kvm_intel/parameters/tdx': 'Y\n' }, { kind: 'tdx', role: 'host' }],
    // The processor could, and nobody has switched it on.
    [
      { 'proc/cpuinfo': cpuinfo, 'sys/module/kvm_amd/parameters/sev': 'N\n' },
      { kind: 'none', role: null },
    ],
  ])('knows the TEE by %o', async (files, tee) => {
    await machine(files)
    expect((await parsed())['tee']).toMatchObject(tee)
  })

  it('is a document where there is nothing to be read', async () => {
    expect(await parsed()).toMatchObject({
      kernel: null,
      os: null,
      cpu: { model: null, count: null },
      memory_bytes: null,
    })
  })

  it('has no name of this machine', async () => {
    const info = await readPlatformInfo({ measurementFile: join(root, 'none'), root: '/' })
    expect(JSON.parse(info.toString())).toMatchObject({ cpu: { count: expect.any(Number) as number } })
    expect(info.toString()).not.toContain(`"${hostname()}"`)
  })
})

describe('a measurement', () => {
  it('is in it byte for byte', async () => {
    const measurement =
      '{\n  "snp_policy": {"policy": 196608, "minimum_tcb": 15352208179752599555},\r\n "ä": 1.0 }\n'
    await machine({ 'backend_info.json': measurement })
    const info = await read()
    expect(info.includes(Buffer.from(`"measurement":${measurement}}`))).toBe(true)
    expect(await parsed()).toHaveProperty('measurement.snp_policy.policy', 196608)
  })

  it.each([
    ['is no JSON', Buffer.from('not json')],
    ['would end the document', Buffer.from('1},"tee":{"kind":"none"')],
    ['is no UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['is empty', Buffer.alloc(0)],
  ])('that %s is in it as base64', async (_, measurement) => {
    await machine({ 'backend_info.json': measurement })
    const info = await parsed()
    expect(info['measurement_base64']).toBe(measurement.toString('base64'))
    expect(info).not.toHaveProperty('measurement')
  })

  it('that is too large, or cannot be read, is said to be', async () => {
    await machine({ 'backend_info.json': Buffer.alloc(256 * 1024 + 1, 0x20) })
    expect((await parsed())['measurement_error']).toMatch(/larger than 262144 bytes/)
    await rm(join(root, 'backend_info.json'))
    await mkdir(join(root, 'backend_info.json'))
    expect((await parsed())['measurement_error']).toMatch(/EISDIR/)
  })
})
