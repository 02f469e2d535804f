/**
 * What a client says over a socket. As in the engine, the words of both sub-protocols are understood in either: only the
 * answers differ.
 */
import { z } from 'zod'

import { parseExactJson } from '../schema/exact-json.ts'

export type ClientMessage =
  | { readonly kind: 'init'; readonly payload: Readonly<Record<string, unknown>> }
  | { readonly kind: 'ping'; readonly payload: unknown }
  | { readonly kind: 'pong' }
  | { readonly kind: 'start'; readonly id: string; readonly payload: unknown }
  | { readonly kind: 'stop'; readonly id: string }
  | { readonly kind: 'terminate' }

/** Why a text is no message, in words that repeat nothing of it. */
export interface Unreadable {
  readonly kind: 'unreadable'
  readonly reason: string
}

const id = z.string()
// Most clients ping without one.
const payload = z.unknown().optional()
const object = z.looseObject({ type: z.string() })
const messageSchema = z
  .discriminatedUnion('type', [
    z.object({
      type: z.literal('connection_init'),
      payload: z.record(z.string(), z.unknown()).nullish(),
    }),
    z.object({ type: z.literal('connection_terminate') }),
    z.object({ type: z.literal('ping'), payload }),
    z.object({ type: z.literal('pong'), payload }),
    z.object({ type: z.enum(['start', 'subscribe']), id, payload }),
    z.object({ type: z.enum(['stop', 'complete']), id }),
  ])
  .transform((message): ClientMessage => {
    switch (message.type) {
      case 'connection_init':
        return { kind: 'init', payload: message.payload ?? {} }
      case 'connection_terminate':
        return { kind: 'terminate' }
      case 'ping':
        return { kind: 'ping', payload: message.payload }
      case 'pong':
        return { kind: 'pong' }
      case 'start':
      case 'subscribe':
        return { kind: 'start', id: message.id, payload: message.payload }
      case 'stop':
      case 'complete':
        return { kind: 'stop', id: message.id }
    }
  })

export function readClientMessage(text: string): ClientMessage | Unreadable {
  let json: unknown
  try {
    json = parseExactJson(text)
  } catch {
    return { kind: 'unreadable', reason: 'Error in $: not valid JSON' }
  }
  const parsed = messageSchema.safeParse(json)
  if (parsed.success) return parsed.data
  return { kind: 'unreadable', reason: faultOf(json, parsed.error) }
}

function faultOf(json: unknown, { issues: [issue] }: z.ZodError): string {
  if (!object.safeParse(json).success) return 'Error in $: an object with a key "type" is expected'
  if (issue === undefined || issue.path[0] === 'type')
    return 'Error in $.type: unexpected type for ClientMessage'
  return `Error in $.${issue.path.join('.')}: ${issue.message}`
}
