import type { FastifyInstance, HTTPMethods } from 'fastify'

import { sendProblem } from './problems.ts'

const methods: readonly HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

/** Every path with the methods that it knows. */
export type RouteMethods = ReadonlyMap<string, ReadonlySet<string>>

/** Registers the routes, and on each of their paths a 405 for the methods that it does not have. */
export function refuseOtherMethods(app: FastifyInstance, registerRoutes: () => void): RouteMethods {
  const known = new Map<string, Set<string>>()
  let isRegistering = true
  app.addHook('onRoute', ({ url, method }) => {
    if (!isRegistering) return
    const held = known.get(url) ?? new Set()
    for (const one of [method].flat()) held.add(one)
    known.set(url, held)
  })
  registerRoutes()
  isRegistering = false
  for (const [url, allowed] of known) {
    app.route({
      url,
      method: methods.filter((method) => !allowed.has(method)),
      config: { access: 'open' },
      // Before the body is read: a body of whatever kind changes nothing.
      onRequest: (request, reply) => {
        void reply.header('allow', [...allowed].sort().join(', '))
        sendProblem(request, reply, {
          code: 'method-not-allowed',
          detail: `this path knows ${[...allowed].sort().join(', ')}`,
        })
      },
      handler: () => undefined,
    })
  }
  return known
}
