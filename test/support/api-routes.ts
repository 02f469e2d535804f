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

const backend = '/v1/backends/:id'
const rollout = '/v1/rollouts/:id'
const certificate = `${backend}/certificates/:serial`

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
  { method: 'GET', path: '/v1/rollouts', access: 'read' },
  { method: 'GET', path: rollout, access: 'read' },
  {
    ...{ method: 'POST', path: '/v1/rollouts', access: 'operate' },
    body: { version: '2.0.0', images: { 'fake/a': 'ami-3' } },
  },
  { method: 'POST', path: `${rollout}/pause`, access: 'operate' },
  { method: 'POST', path: `${rollout}/resume`, access: 'operate' },
  { method: 'POST', path: `${rollout}/switch`, access: 'operate' },
  { method: 'POST', path: `${rollout}/rollback`, access: 'operate' },
  { method: 'POST', path: '/v1/sweep', access: 'operate', body: { dry_run: true } },
  { method: 'POST', path: '/v1/hooks/hasura/event', access: 'hook', body: hookEvent },
  { method: 'POST', path: '/v1/hooks/hasura/cron', access: 'hook', body: { id: 'cron-1', name: 'tick' } },
  { method: 'POST', path: '/v1/backends', access: 'operate', body: { name: 'rack 7' } },
  { method: 'GET', path: '/v1/backends', access: 'read' },
  { method: 'GET', path: backend, access: 'read' },
  { method: 'PUT', path: backend, access: 'operate', body: { name: 'rack 8' } },
  { method: 'DELETE', path: backend, access: 'operate' },
  { method: 'POST', path: `${backend}/tokens`, access: 'operate', givesCredentials: true },
  { method: 'POST', path: `${backend}/certificates`, access: 'operate', givesCredentials: true },
  { method: 'GET', path: certificate, access: 'read' },
  {
    ...{ method: 'POST', path: `${certificate}/download`, access: 'operate', givesCredentials: true },
    body: { token: 't' },
  },
  { method: 'POST', path: `${certificate}/renew`, access: 'operate', givesCredentials: true },
  { method: 'POST', path: `${certificate}/revoke`, access: 'operate' },
  { method: 'POST', path: `${backend}/terminate`, access: 'operate', body: { reason: 'user' } },
  { method: 'POST', path: `${backend}/enable`, access: 'operate' },
  { method: 'GET', path: '/backends/terminate/:id/:type', access: 'operate', changesByGet: true },
  { method: 'GET', path: `${backend}/info`, access: 'read' },
  { method: 'POST', path: `${backend}/info/refresh`, access: 'operate' },
  { method: 'GET', path: '/v1/audit', access: 'read' },
  { method: 'GET', path: '/v1/pki/ca', access: 'open' },
  { method: 'GET', path: '/v1/pki/crl', access: 'open' },
]

/** `method path` of each. */
export const namesOfRoutes = apiRoutes.map(({ method, path }) => `${method} ${path}`)

/** The path with a value for each parameter. */
export const urlOf = ({ path }: Pick<ApiRoute, 'path'>, value = 'h1'): string =>
  path.replace(':type', '1').replaceAll(/:\w+/g, value)
