import type { FastifyReply } from 'fastify'

/** Aborted when the client's connection closes before it has been answered. */
export function hangUpSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  // It may have closed before anybody listened: checking a token can take a call to another server.
  if (reply.raw.destroyed) controller.abort()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort()
  })
  return controller.signal
}
