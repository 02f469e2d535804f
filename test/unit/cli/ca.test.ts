import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, it } from 'vitest'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'muster-cli-ca-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

const inDirectory = (...path: readonly string[]) => join(directory, ...path)
const secrets = {
  HASURA_GRAPHQL_ADMIN_SECRET: 'x'.repeat(32),
  MUSTER_JWT_SECRET: 'y'.repeat(32),
  MUSTER_FLEET_KEY: 'z'.repeat(32),
}

async function muster(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<{ code: number; output: string }> {
  const env = { PATH: process.env['PATH'], MUSTER_DATA_DIR: inDirectory('data'), ...environment }
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(process.cwd(), 'src/main.ts'), ...args],
      { cwd: directory, env },
      (error, ...outputs) =>
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, output: outputs.join('') }),
    )
  })
}

it('makes an authority whose printed settings are all that a daemon on PostgreSQL wants', async () => {
  const made = await muster(['ca', 'init', '--out', 'ca'])
  expect(made.code).toBe(0)
  const settings = Object.fromEntries(
    [...made.output.matchAll(/^(MUSTER_CA_\w+)=(.+)$/gm)].map(([, name, value]) => [name, value]),
  ) as Record<string, string>
  expect(Object.keys(settings)).toHaveLength(3)
  const database = { ...secrets, DATABASE_URL: 'postgres://127.0.0.1/x', MUSTER_SEED: 'none' }
  const checked = await muster(['check-config'], { ...database, ...settings })
  expect(checked.output).toMatch(/certificates: Muster issuing CA .* until 20.*\nthe configuration is valid/)
  const wrong = await muster(['check-config'], {
    ...database,
    ...settings,
    MUSTER_CA_PASSPHRASE_FILE: inDirectory('ca', 'ca.pem'),
  })
  expect([wrong.code, wrong.output]).toEqual([
    1,
    expect.stringContaining('MUSTER_CA_KEY: cannot be decrypted'),
  ])
  for (const { output } of [made, checked, wrong]) {
    expect(output).not.toContain('PRIVATE KEY')
    expect(output).not.toContain(readFileSync(inDirectory('ca', 'ca-passphrase'), 'utf8').trim())
  }
  const again = await muster(['ca', 'init', '--out', 'ca'])
  expect([again.code, again.output]).toEqual([2, expect.stringContaining('there is something at')])
})

it('follows an issuing certificate by the next, with the root’s key from elsewhere, or with its own lost', async () => {
  const rootKey = inDirectory('root-key-offline.pem')
  writeFileSync(rootKey, readFileSync(inDirectory('ca', 'root-key.pem')), { mode: 0o600 })
  rmSync(inDirectory('ca', 'root-key.pem'))
  const without = await muster(['ca', 'rotate', '--dir', 'ca', '--out', 'ca2'])
  expect([without.code, without.output]).toEqual([1, expect.stringContaining('--root-key')])
  writeFileSync(inDirectory('ca', 'ca-key.pem'), '')
  const rotated = await muster(['ca', 'rotate', '--dir', 'ca', '--out', 'ca2', '--root-key', rootKey])
  expect([rotated.code, rotated.output]).toEqual([0, expect.stringContaining(inDirectory('ca2', 'ca.pem'))])
  const shown = await muster(['ca', 'show', '--dir', 'ca2'])
  expect(shown.output).toMatch(
    /issuing, active .*\nissuing, trusted .*\nroot .*\n\npin: sha256\/[\w-]{43}\n$/,
  )
  const nowhere = await muster(['ca', 'rotate', '--dir', 'ca2'])
  expect([nowhere.code, nowhere.output]).toEqual([2, expect.stringContaining('--out')])
})

it('prints the list that the daemon signs with the label that openssl reads', async () => {
  const der = Buffer.from('30030a0b0c', 'hex')
  const server = createServer((request, response) =>
    request.url === '/v1/pki/crl' ? response.end(der) : response.writeHead(404).end(),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const printed = await muster(['ca', 'crl'], { PORT: `${port}` })
  server.close()
  expect(printed.output).toBe('-----BEGIN X509 CRL-----\nMAMKCww=\n-----END X509 CRL-----\n')
})
