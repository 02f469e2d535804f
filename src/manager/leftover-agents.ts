import { readdir, readFile } from 'node:fs/promises'

import { isNoProcess } from '../lib/process-identity.ts'

/** What an agent's environment says of whose it is. */
export const hostDirectoryVariable = 'MUSTER_HOST_DIRECTORY'

/**
 * Ends the agents that an earlier manager of this directory left behind: nobody can talk to them any more, and their rows
 * end with the new manager's Hello.
 * @returns how many there were
 */
export async function endLeftoverAgents(directory: string): Promise<number> {
  let ended = 0
  for (const name of (await readdir('/proc')).filter((one) => /^\d+$/.test(one))) {
    const variables = (await readFile(`/proc/${name}/environ`, 'utf8').catch(() => '')).split('\0')
    const isOurs =
      variables.includes(`${hostDirectoryVariable}=${directory}`) &&
      variables.some((variable) => variable.startsWith('MUSTER_AGENT_ID='))
    if (!isOurs || Number(name) === process.pid) continue
    try {
      process.kill(Number(name), 'SIGKILL')
      ended += 1
    } catch (error) {
      if (!isNoProcess(error)) throw error
    }
  }
  return ended
}
