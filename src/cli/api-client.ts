import { loadConfig, readEnvironment } from '../../config/load.ts'
import { MusterError } from '../model/errors.ts'

/** The running daemon's HTTP API, as its operator: with the admin secret of this configuration. */
export async function callApi<T>(
  path: string,
  init: { method?: string; body?: unknown; bearer?: string } = {},
): Promise<T> {
  const config = loadConfig(readEnvironment(), { generate: false })
  const url = `http://127.0.0.1:${config.settings.PORT}${path}`
  let response: Response
  try {
    response = await fetch(url, {
      method: init.method ?? 'GET',
      headers: {
        ...(init.bearer === undefined
          ? { 'x-muster-admin-secret': config.adminSecret }
          : { authorization: `Bearer ${init.bearer}` }),
        ...(init.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(init.body === undefined ? {} : { body: JSON.stringify(init.body) }),
      signal: AbortSignal.timeout(30_000),
    })
  } catch (error) {
    throw new MusterError(
      'unavailable',
      `no daemon answers at ${url}; start one with "make run", or set PORT`,
      { cause: error },
    )
  }
  const body: unknown = await response.json().catch(() => undefined)
  if (response.ok) return body as T
  const problem = (body ?? {}) as { code?: string; detail?: string; title?: string }
  throw new MusterError(
    'unavailable',
    `${init.method ?? 'GET'} ${path}: ${problem.detail ?? problem.title ?? `HTTP ${response.status}`} (${problem.code ?? response.status})`,
  )
}
