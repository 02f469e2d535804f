/**
 * Every route of the API: who may use it, a request that it takes, and what it may do. The tests of the doors go through
 * this table, and one of them compares it with the routes that there are: a new route must be added here.
 */
export interface ApiRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly path: string
  readonly access: 'open' | 'user' | 'read' | 'operate' | 'hook'
  /** With which the route reaches its work. */
  readonly body?: object
  /** Asks nothing that could fail. */
  readonly cannotFail?: true
  /** What is done to what belongs to a user: a session's. */
  readonly touchesSession?: true
  /** Changes something though it is a GET: an alias for scripts, and the only one. */
  readonly changesByGet?: true
  /** Gives out tokens or certificates, so it has a limit of its own. */
  readonly givesCredentials?: true
}

const hookEvent = {
  id: 'event-1',
  table: { schema: 'fleet', name: 'hosts' },
  event: { op: 'INSERT', data: { old: null, new: { id: 'h1' } } },
}

export const apiRoutes: readonly ApiRoute[] = [
  { method: 'GET', path: '/healthz', access: 'open', cannotFail: true },
  { method: 'GET', path: '/readyz', access: 'open' },
  { method: 'GET', path: '/metrics', access: 'read' },
  { method: 'POST', path: '/v1/assign', access: 'user', body: { regions: ['fake/a'] }, touchesSession: true },
  { method: 'POST', path: '/v1/release', access: 'user', body: { session_id: 's' }, touchesSession: true },
  { method: 'GET', path: '/v1/sessions', access: 'user', touchesSession: true },
  { method: 'GET', path: '/v1/hosts', access: 'read' },
  { method: 'GET', path: '/v1/hosts/:id', access: 'read' },
  { method: 'POST', path: '/v1/hosts/:id/drain', access: 'operate' },
  { method: 'GET', path: '/v1/regions', access: 'read' },
  { method: 'GET', path: '/v1/decisions', access: 'read' },
  { method: 'POST', path: '/v1/hooks/hasura/event', access: 'hook', body: hookEvent },
  { method: 'POST', path: '/v1/hooks/hasura/cron', access: 'hook', body: { id: 'cron-1', name: 'tick' } },
]

/** `method path` of each. */
export const namesOfRoutes = apiRoutes.map(({ method, path }) => `${method} ${path}`)

/** The path with a value for each parameter. */
export const urlOf = ({ path }: Pick<ApiRoute, 'path'>, value = 'h1'): string =>
  path.replaceAll(/:\w+/g, value)
