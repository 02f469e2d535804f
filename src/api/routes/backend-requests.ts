/** What all routes below `/v1/backends` share. */
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'

import type { Backends } from '../../backends/backends.ts'
import { MusterError } from '../../model/errors.ts'
import type { ApiContext } from '../context.ts'
import { isStorable } from '../validation.ts'

export type BackendContext = ApiContext & { readonly backends: Backends }
export type OfBackend = FastifyRequest<{ Params: { id: string } }>

export const noQuery = z.strictObject({})

/** No row has an id that cannot be stored. */
export function idOf({ params: { id } }: { params: { id: string } }): string {
  if (isStorable(id)) return id
  throw new MusterError('not-found', `there is no backend ${JSON.stringify(id)}`)
}

export function pathOf(id: string): string {
  return `/v1/backends/${encodeURIComponent(id)}`
}
