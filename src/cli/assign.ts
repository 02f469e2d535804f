import { callApi } from './api-client.ts'
import { signToken } from './token.ts'

/** Assign a user and print the answer. */
export async function assign(options: {
  user: string
  region: readonly string[]
  wait: number
  version?: string
}): Promise<void> {
  const bearer = await signToken({ user: options.user, ttl: 60 })
  const { region, wait, version } = options
  const body = { regions: region, wait_ms: wait, ...(version === undefined ? {} : { version }) }
  const answer = await callApi('/v1/assign', { method: 'POST', body, bearer })
  process.stdout.write(`${JSON.stringify(answer, undefined, 2)}\n`)
}
