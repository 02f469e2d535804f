import { readFile, writeFile } from 'node:fs/promises'

import { MusterError } from '../model/errors.ts'
import { callApi, downloadFromApi } from './api-client.ts'
import { table } from './table.ts'

interface BackendLine {
  readonly id: string
  readonly name: string
  readonly description: string
  readonly address: string
  readonly status: string
  readonly connected: boolean
  readonly last_seen_at: string | null
  readonly host_id: string | null
}

interface CertificateLine {
  readonly serial: string
  readonly status: string
  readonly not_after: string
  readonly revoke_reason: string | null
}

interface Issued extends CertificateLine {
  readonly certificate: string
  readonly ca: string
  readonly download?: { readonly token: string; readonly expires_at: string }
}

const say = (text: string): void => void process.stdout.write(`${text}\n`)
const pathOf = (id: string): string => `/v1/backends/${encodeURIComponent(id)}`

export async function listBackends(options: {
  json?: boolean
  status?: string
  name?: string
  limit: number
  offset: number
}): Promise<void> {
  const query = new URLSearchParams({ limit: String(options.limit), offset: String(options.offset) })
  if (options.status !== undefined) query.set('status', options.status)
  if (options.name !== undefined) query.set('name', options.name)
  const { total, backends } = await callApi<{ total: number; backends: readonly BackendLine[] }>(
    `/v1/backends?${query.toString()}`,
  )
  if (options.json) {
    say(JSON.stringify(backends, undefined, 2))
    return
  }
  process.stdout.write(
    table(
      ['BACKEND', 'NAME', 'STATUS', 'CONNECTED', 'LAST SEEN', 'HOST', 'ADDRESS', 'DESCRIPTION'],
      backends.map((one) => [
        one.id,
        one.name,
        one.status,
        one.connected ? 'yes' : 'no',
        one.last_seen_at ?? '-',
        one.host_id ?? '-',
        one.address === '' ? '-' : one.address,
        one.description,
      ]),
    ),
  )
  if (total > backends.length) say(`${backends.length} of ${total}: see --limit and --offset`)
}

/** One backend, with its certificates, host and agents, as JSON. */
export async function showBackend(id: string): Promise<void> {
  say(JSON.stringify(await callApi(pathOf(id)), undefined, 2))
}

export async function createBackend(
  name: string,
  options: { description?: string; address?: string; region?: string },
): Promise<void> {
  const { id } = await callApi<BackendLine>('/v1/backends', { method: 'POST', body: { name, ...options } })
  say(id)
}

export async function updateBackend(
  id: string,
  options: { name?: string; description?: string; address?: string },
): Promise<void> {
  await callApi(pathOf(id), { method: 'PUT', body: options })
  say(`${id} is updated`)
}

/** To a file of mode 0600, or printed with what `npx muster join` needs beside it. */
export async function createToken(id: string, options: { ttl: number; out?: string }): Promise<void> {
  const made = await callApi<{
    token: string
    expires_at: string
    fleet_id: string
    ca_pins: readonly string[]
    daemons: readonly string[]
  }>(`${pathOf(id)}/tokens`, { method: 'POST', body: { expires_in_s: options.ttl } })
  if (options.out === undefined) say(made.token)
  else await writeNew(options.out, `${made.token}\n`)
  const file = options.out ?? 'FILE'
  process.stderr.write(
    `valid once, until ${made.expires_at}. On the machine:\n` +
      `  npx muster join --fleet ${made.fleet_id}${made.ca_pins.map((pin) => ` --pin ${pin}`).join('')}` +
      `${made.daemons.map((daemon) => ` --daemon ${daemon}`).join('')} --token-file ${file} --dir DIR\n`,
  )
}

/** With a CSR: the certificate is printed. Without one: the zip with a key that was made by the daemon is written. */
export async function issueCertificate(
  id: string,
  options: { csr?: string; out?: string; renews?: string },
): Promise<void> {
  if (options.csr === undefined && options.out === undefined) {
    throw new MusterError(
      'invalid-request',
      'say --csr FILE for a key of your own, or --out FILE.zip for a new one',
    )
  }
  const csr = options.csr === undefined ? undefined : await readText(options.csr)
  const path =
    options.renews === undefined
      ? `${pathOf(id)}/certificates`
      : `${pathOf(id)}/certificates/${encodeURIComponent(options.renews)}/renew`
  const issued = await callApi<Issued>(path, { method: 'POST', body: csr === undefined ? {} : { csr } })
  if (issued.download === undefined || options.out === undefined) {
    process.stdout.write(issued.certificate)
    return
  }
  const zip = await downloadFromApi(`${pathOf(id)}/certificates/${issued.serial}/download`, {
    token: issued.download.token,
  })
  await writeNew(options.out, zip)
  say(
    `${options.out}: ca.pem, cert.pem and key.pem of certificate ${issued.serial}, valid until ${issued.not_after}`,
  )
}

export async function revokeCertificate(id: string, serial: string): Promise<void> {
  await callApi(`${pathOf(id)}/certificates/${encodeURIComponent(serial)}/revoke`, {
    method: 'POST',
    body: {},
  })
  say(`${serial} is revoked, and what was connected with it is cut off`)
}

export async function terminateBackend(id: string, options: { agents: string }): Promise<void> {
  await callApi(`${pathOf(id)}/terminate`, {
    method: 'POST',
    body: { reason: 'user', agents: options.agents },
  })
  say(`${id} is terminated; it is refused until: npx muster backends enable ${id}`)
}

export async function enableBackend(id: string): Promise<void> {
  await callApi(`${pathOf(id)}/enable`, { method: 'POST' })
  say(`${id} is enabled`)
}

export async function deleteBackend(id: string, options: { force?: boolean }): Promise<void> {
  await callApi(`${pathOf(id)}${options.force ? '?force=true' : ''}`, { method: 'DELETE' })
  say(`${id} is deleted`)
}

/** The bytes as the manager sent them. */
export async function backendInfo(id: string, options: { refresh?: boolean }): Promise<void> {
  const path = `${pathOf(id)}/info${options.refresh ? '/refresh' : ''}`
  process.stdout.write(await downloadFromApi(path, options.refresh ? {} : undefined))
  process.stdout.write('\n')
}

export async function audit(options: { backend?: string; limit: number }): Promise<void> {
  const query = new URLSearchParams({ limit: String(options.limit) })
  if (options.backend !== undefined) query.set('backend', options.backend)
  const { audit: entries } = await callApi<{
    audit: readonly {
      at: string
      actor: string
      act: string
      backend: string | null
      serial: string | null
      details: object
    }[]
  }>(`/v1/audit?${query.toString()}`)
  process.stdout.write(
    table(
      ['AT', 'ACTOR', 'ACT', 'BACKEND', 'CERTIFICATE', 'DETAILS'],
      entries.map((entry) => [
        entry.at,
        entry.actor,
        entry.act,
        entry.backend ?? '-',
        entry.serial ?? '-',
        JSON.stringify(entry.details),
      ]),
    ),
  )
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw fileFault(path, 'read', error)
  }
}

/** Never over a file that is there: it may be the only copy of a key. */
async function writeNew(path: string, content: string | Buffer): Promise<void> {
  try {
    await writeFile(path, content, { flag: 'wx', mode: 0o600 })
  } catch (error) {
    throw fileFault(path, 'written', error)
  }
}

function fileFault(path: string, verb: string, error: unknown): MusterError {
  const reason = error instanceof Error ? error.message : String(error)
  return new MusterError('invalid-request', `${path} cannot be ${verb}: ${reason}`, { cause: error })
}
