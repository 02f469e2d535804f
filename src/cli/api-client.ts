import { loadConfig, readEnvironment } from '../../config/load.ts'
import type { ErrorCode } from '../model/errors.ts'
import { errorCodes, MusterError } from '../model/errors.ts'

interface Problem {
  readonly detail?: string
  readonly title?: string
  readonly code?: string
  readonly errors?: readonly string[]
}

interface Call {
  readonly method?: string
  readonly body?: unknown
  readonly bearer?: string
  /** How long the answer may take, in milliseconds; 30,000 unless told. */
  readonly patienceMs?: number
}

/** The running daemon's HTTP API, as its operator: with the admin secret of this configuration. */
export async function callApi<T>(path: string, call: Call = {}): Promise<T> {
  const response = await request(path, call)
  return (await response.json().catch(() => undefined)) as T
}

/** The answer's bytes; asked by POST when there is a body. */
export async function downloadFromApi(path: string, body?: unknown): Promise<Buffer> {
  const response = await request(path, body === undefined ? {} : { method: 'POST', body })
  return Buffer.from(await response.arrayBuffer())
}

async function request(
  path: string,
  { method = 'GET', body, bearer, patienceMs = 30_000 }: Call,
): Promise<Response> {
  const config = loadConfig(readEnvironment(), { generate: false })
  const url = `http://127.0.0.1:${config.settings.PORT}${path}`
  let response: Response
  try {
    response = await fetch(url, {
      method,
      headers: {
        ...(bearer === undefined
          ? { 'x-muster-admin-secret': config.adminSecret }
          : { authorization: `Bearer ${bearer}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(patienceMs),
    })
  } catch (error) {
    throw new MusterError(
      'unavailable',
      `no daemon answers at ${url}; start one with "make run", or set PORT`,
      { cause: error, retryable: true },
    )
  }
  if (response.ok) return response
  const problem = ((await response.json().catch(() => undefined)) ?? {}) as Problem
  const { detail, title, code, errors = [] } = problem
  const message = `${method} ${path}: ${detail ?? title ?? `HTTP ${response.status}`}`
  throw new MusterError(isErrorCode(code) ? code : 'unavailable', message, {
    details: errors,
    retryable: response.status === 503,
  })
}

/** Of another daemon's version there may be others. */
function isErrorCode(code: string | undefined): code is ErrorCode {
  return code !== undefined && Object.hasOwn(errorCodes, code)
}
