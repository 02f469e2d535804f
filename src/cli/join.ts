import { randomBytes } from 'node:crypto'
import { access, mkdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, join as joinPath, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { readEnvironment, secretSettings } from '../../config/load.ts'
import { readCertificateDirectory } from '../manager/certificate-directory.ts'
import { pinsOf } from '../manager/credentials.ts'
import { CredentialsStore } from '../manager/credentials-store.ts'
import { parseDaemonAddress } from '../manager/daemon-address.ts'
import { readManagerSpec } from '../manager/host-directory.ts'
import { writeWhole } from '../manager/write-whole.ts'
import { MusterError } from '../model/errors.ts'
import { hostFiles } from '../model/manager-spec.ts'
import type { ManagerSpec } from '../model/manager-spec.ts'
import { runWithSignals } from './manager.ts'
import { packageVersion } from './package-version.ts'

export interface JoinOptions {
  readonly daemon: readonly string[]
  readonly fleet: string
  readonly pin?: readonly string[]
  readonly tokenFile?: string
  readonly certificateDir?: string
  readonly dir: string
  readonly agents: number
  readonly address?: string
  readonly app?: string
  readonly measurementFile?: string
}

const helloAgent = fileURLToPath(new URL('../../examples/hello-agent/agent.ts', import.meta.url))

/**
 * Write what a provider would have left for the manager, and run it; gives the exit code. Started again, it goes on with
 * the certificate that it has.
 * @throws MusterError `invalid-request` with every fault
 */
export async function join(options: JoinOptions, agentCommand: readonly string[]): Promise<number> {
  const directory = resolve(options.dir)
  await checkOptions(options, directory)
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const given = await takeCertificate(options, directory)
  const caPins = [...new Set([...(options.pin ?? []), ...given])]
  const spec = await specOf(options, directory, caPins, agentCommand)
  await writeWhole(joinPath(directory, hostFiles.spec), JSON.stringify(spec, null, 2))
  // What a daemon's settings hold is nothing for agents.
  const secrets: ReadonlySet<string> = secretSettings
  const environment = Object.fromEntries(
    Object.entries(readEnvironment()).filter(([name]) => !secrets.has(name)),
  )
  return runWithSignals(directory, environment)
}

async function checkOptions(options: JoinOptions, directory: string): Promise<void> {
  const faults: string[] = []
  for (const address of options.daemon) {
    try {
      parseDaemonAddress(address)
    } catch (error) {
      faults.push(`--daemon: ${(error as Error).message}`)
    }
  }
  for (const pin of options.pin ?? []) {
    if (!/^sha256\/[A-Za-z0-9_-]{43}$/.test(pin)) {
      faults.push(
        `--pin: ${JSON.stringify(pin)} is none: use sha256/ and 43 characters, as npx muster ca show prints it`,
      )
    }
  }
  if (options.pin === undefined && options.certificateDir === undefined) {
    faults.push('--pin: say the fleet’s pin, so that the token is told to no stranger')
  }
  // Once it has a certificate, the token is of no more use.
  const isNew = !(await exists(joinPath(directory, hostFiles.credentials)))
  const dropped = joinPath(directory, hostFiles.token)
  if (isNew && options.certificateDir === undefined && !(await exists(options.tokenFile ?? dropped))) {
    faults.push(
      options.tokenFile === undefined
        ? `--token-file: say where the enrolment token is, or put it into ${dropped}`
        : `--token-file: there is no ${options.tokenFile}`,
    )
  }
  if (faults.length > 0) {
    throw new MusterError('invalid-request', 'this machine cannot join', { details: faults })
  }
}

/** A ready certificate counts unless this machine has a younger one; gives its pins. */
async function takeCertificate(
  { certificateDir }: JoinOptions,
  directory: string,
): Promise<readonly string[]> {
  if (certificateDir === undefined) return []
  const given = await readCertificateDirectory(resolve(certificateDir))
  const store = new CredentialsStore(directory)
  const held = await store.read()
  if (held === undefined || held.notBefore < given.notBefore) await store.write(given)
  return pinsOf(given.ca)
}

async function specOf(
  options: JoinOptions,
  directory: string,
  caPins: readonly string[],
  agentCommand: readonly string[],
): Promise<ManagerSpec> {
  const known = await readManagerSpec(directory).catch(() => undefined)
  const command = agentCommand.length === 0 ? [process.execPath, helloAgent] : agentCommand
  const { tokenFile, measurementFile } = options
  return {
    fleetId: options.fleet,
    launchId: null,
    cloudId: known?.cloudId ?? `joined-${randomBytes(8).toString('hex')}`,
    tokenFile: tokenFile && resolve(tokenFile),
    caPins,
    agents: options.agents,
    version: packageVersion(),
    daemons: options.daemon,
    address: options.address ?? hostname(),
    app: options.app ?? (agentCommand.length === 0 ? 'hello-agent' : basename(command[0] ?? '')),
    agentCommand: command,
    measurementFile: measurementFile && resolve(measurementFile),
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
