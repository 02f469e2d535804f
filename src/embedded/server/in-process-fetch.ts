import type { GraphqlRoute } from './graphql-route.ts'

/**
 * `fetch` for who runs in the endpoint's own process: the same headers, texts and answers as over HTTP, without two
 * passes through the kernel and two HTTP parsers, which cost more than most of the daemon's queries (docs/benchmarks.md).
 */
export function createInProcessFetch(route: GraphqlRoute): typeof fetch {
  return async (_endpoint, { headers, body, signal } = {}) => {
    signal?.throwIfAborted()
    const answering = route({
      headers: Object.fromEntries(new Headers(headers)),
      readBody: () => Promise.resolve(typeof body === 'string' ? body : ''),
      hasHungUp: () => signal?.aborted === true,
    })
    const answer = await (signal ? orAborted(answering, signal) : answering)
    return new Response(answer.body, {
      status: answer.status,
      headers: { 'content-type': 'application/json; charset=utf-8' },
    })
  }
}

/** What is under way goes on, as it does behind a connection that is closed; nobody waits for it any more. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
