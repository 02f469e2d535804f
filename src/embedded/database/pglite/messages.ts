/** What the endpoint's thread and PGlite's say to each other. Requests are answered in the order they were sent. */
import type { Parameters, TextRow } from '../database.ts'

export type WorkerRequest =
  | { readonly id: number; readonly kind: 'query'; readonly sql: string; readonly parameters: Parameters }
  | { readonly id: number; readonly kind: 'script'; readonly sql: string }
  | { readonly id: number; readonly kind: 'listen' | 'unlisten'; readonly channel: string }
  | { readonly id: number; readonly kind: 'close' }

export type WorkerReply =
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'rows'; readonly id: number; readonly rows: readonly TextRow[] }
  | { readonly kind: 'refused'; readonly id: number; readonly sqlState: string; readonly message: string }
  | { readonly kind: 'notified'; readonly channel: string; readonly payload: string }

export interface WorkerSettings {
  /** PostgreSQL's own files. */
  readonly directory: string
  /** Create them and end, rather than serve. */
  readonly isInit: boolean
}
