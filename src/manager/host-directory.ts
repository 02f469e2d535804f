import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'

import { MusterError } from '../model/errors.ts'
import { hostFiles } from '../model/manager-spec.ts'
import type { ManagerSpec } from '../model/manager-spec.ts'

/** What a manager finds and keeps in its host's directory, but for the claim. */
const managerSpec: z.ZodType<ManagerSpec> = z.strictObject({
  fleetId: z.string().min(1),
  launchId: z.string().min(1).nullable(),
  cloudId: z.string().min(1),
  enrolmentToken: z.string().min(1).optional(),
  tokenFile: z.string().min(1).optional(),
  caPins: z
    .array(z.string().regex(/^sha256\/[A-Za-z0-9_-]{43}$/, 'must be sha256/ and 43 characters'))
    .min(1),
  agents: z.int().min(0).max(10_000),
  version: z.string(),
  daemons: z.array(z.string().min(1)),
  address: z.string().min(1),
  app: z.string().min(1),
  agentCommand: z.array(z.string().min(1)).min(1),
  metadataEndpoint: z.url({ protocol: /^http$/ }).optional(),
  measurementFile: z.string().min(1).optional(),
})

/** @throws MusterError `config-invalid` with all faults. */
export async function readManagerSpec(directory: string): Promise<ManagerSpec> {
  const path = join(directory, hostFiles.spec)
  let value: unknown
  try {
    value = JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    throw new MusterError('config-invalid', `${path} cannot be read as JSON: ${String(cause)}`, { cause })
  }
  const parsed = managerSpec.safeParse(value)
  if (parsed.success) return parsed.data
  throw new MusterError('config-invalid', `${path} is no manager's spec`, {
    details: parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`),
  })
}

/** The daemons to dial, read anew each time: the provider repairs the file when they have moved. */
export async function readDaemonAddresses(directory: string, spec: ManagerSpec): Promise<readonly string[]> {
  const text = await readFile(join(directory, hostFiles.daemon), 'utf8').catch(() => '')
  const addresses = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
  return addresses.length > 0 ? addresses : spec.daemons
}
