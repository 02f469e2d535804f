import { link, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { ownProcessIdentity } from '../lib/process-identity.ts'
import { hostFiles } from '../model/manager-spec.ts'

/**
 * A host has one manager, ever. The first makes the claim; any other, started by a launch that was repeated because its
 * answer was lost, finds it and leaves. The claim of a manager that died stays: its agents may live on, and the host is
 * replaced as a whole.
 *
 * Made by a link, so that the claim appears at once with all it says, even when the process is killed half-way.
 * @returns whether the host is ours.
 */
export async function claimHost(directory: string): Promise<boolean> {
  const draft = join(directory, `${hostFiles.claim}.${process.pid}`)
  await writeFile(draft, `${JSON.stringify(await ownProcessIdentity())}\n`, { mode: 0o600 })
  try {
    await link(draft, join(directory, hostFiles.claim))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    await rm(draft, { force: true })
  }
}
