/** The endpoint that the contract is held against: where it is, and whether it lets us in. */
import { MusterError } from '../../src/model/errors.ts'

export interface Target {
  /** Without a path: `http://host:port`. */
  readonly base: string
  /** `…/v1/graphql` */
  readonly url: string
  readonly adminSecret: string
}

/** Where the suite's project is, for who has to serve it. */
export const serveIt = 'npx muster graphql --project test/support/library-project'

/** With or without `/v1/graphql`. @throws MusterError `config-invalid` */
export function targetOf(endpoint: string | undefined, adminSecret: string | undefined): Target {
  if (endpoint === undefined || endpoint === '') {
    throw refusal('HASURA_GRAPHQL_ENDPOINT is not set: make contract HASURA_GRAPHQL_ENDPOINT=http://…')
  }
  const base = endpoint.replace(/\/+$/, '').replace(/\/v1\/graphql$/, '')
  if (!/^https?:$/.test(URL.parse(base)?.protocol ?? '')) {
    throw refusal(`HASURA_GRAPHQL_ENDPOINT is no http:// or https:// address: ${endpoint}`)
  }
  return { base, url: `${base}/v1/graphql`, adminSecret: adminSecret ?? '' }
}

export const refusal = (words: string): MusterError => new MusterError('config-invalid', words)

export interface Answered {
  readonly status: number
  readonly body: unknown
}

/** One request as administrator. @throws MusterError `config-invalid` when nobody answers, or not in JSON */
export async function post({ base, adminSecret }: Target, path: string, body: unknown): Promise<Answered> {
  const response = await fetch(`${base}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-hasura-admin-secret': adminSecret },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(60_000),
  }).catch((error: unknown) => {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    throw refusal(`${base} cannot be reached: ${cause instanceof Error ? cause.message : String(cause)}`)
  })
  const text = await response.text()
  try {
    return { status: response.status, body: JSON.parse(text) as unknown }
  } catch {
    throw refusal(`${base}${path} answers ${response.status}, and not in JSON: is it a Hasura?`)
  }
}

interface Introspected {
  readonly data?: { readonly __type: { readonly fields: readonly { readonly name: string }[] } | null }
  readonly errors?: readonly { readonly message: string; readonly extensions?: { readonly code?: string } }[]
}

/** The names of all root fields that read. @throws MusterError `config-invalid` */
export async function queryFields(target: Target): Promise<ReadonlySet<string>> {
  const query = '{ __type(name: "query_root") { fields { name } } }'
  const { status, body } = await post(target, '/v1/graphql', { query })
  const { data, errors = [] } = body as Introspected
  const [error] = errors
  const code = error?.extensions?.code ?? ''
  if (code === 'access-denied' || code.startsWith('invalid-')) {
    throw refusal(
      `${target.base} refuses the admin secret (${error?.message}): set HASURA_GRAPHQL_ADMIN_SECRET`,
    )
  }
  if (data === undefined) {
    throw refusal(`${target.url} answers ${status}, and no GraphQL: ${JSON.stringify(body).slice(0, 300)}`)
  }
  return new Set(data.__type?.fields.map(({ name }) => name))
}
