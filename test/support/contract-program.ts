/** `make contract`: holds the endpoint at HASURA_GRAPHQL_ENDPOINT to the contract, and says how it went. */
import { runContract } from '../contract/run-contract.ts'
import { targetOf } from '../contract/target.ts'
import { MusterError } from '../../src/model/errors.ts'

const { HASURA_GRAPHQL_ENDPOINT, HASURA_GRAPHQL_ADMIN_SECRET, MUSTER_CONTRACT_SOURCE } = process.env
const stopping = new AbortController()
process.on('SIGINT', () => stopping.abort())
process.on('SIGTERM', () => stopping.abort())
const print = (line: string): void => void process.stdout.write(`${line}\n`)

try {
  const target = targetOf(HASURA_GRAPHQL_ENDPOINT, HASURA_GRAPHQL_ADMIN_SECRET)
  const { passed, failed, skipped } = await runContract({
    target,
    source: MUSTER_CONTRACT_SOURCE ?? 'default',
    projectDir: new URL('library-project', import.meta.url).pathname,
    print,
    signal: stopping.signal,
  })
  for (const [reason, count] of skipped) print(`skipped ${count}: ${reason}`)
  const left = [...skipped.values()].reduce((sum, count) => sum + count, 0)
  print(`contract: ${passed} answers as expected, ${failed} not, ${left} skipped, at ${target.url}`)
  process.exitCode = failed > 0 ? 1 : 0
} catch (error) {
  if (!(error instanceof MusterError)) throw error
  process.stderr.write(`contract: ${error.message}\n`)
  process.exitCode = 2
}
