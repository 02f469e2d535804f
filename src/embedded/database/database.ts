/**
 * What the endpoint asks of a database: statements in text, text back. Parameters are text too (each is cast in its
 * statement: `($1::text)::bigint`), so no driver's idea of a type ever comes between PostgreSQL and the client, and
 * values stay exact.
 */
export type Parameters = readonly (string | null)[]
/** One row: its columns in order, each as text. Statements cast what they select. */
export type TextRow = readonly (string | null)[]

export interface Transaction {
  query(sql: string, parameters?: Parameters): Promise<readonly TextRow[]>
  /** Several statements without parameters, as a migration has them. */
  script(sql: string): Promise<void>
}

export interface Database {
  readonly kind: 'pglite' | 'postgres'
  /** How many statements it serves at once. */
  readonly concurrency: number
  /** @throws SqlError when the database refuses; MusterError `database-unavailable` when it is away. */
  query(sql: string, parameters?: Parameters): Promise<readonly TextRow[]>
  /** Commits when `run` returns, rolls back when it throws. One at a time where there is one session. */
  transaction<T>(run: (transaction: Transaction) => Promise<T>): Promise<T>
  /**
   * Calls back for each notification on the channel, and with `undefined` when some may have been missed (the
   * connection was lost and is there again). Gives a function that stops listening.
   */
  listen(channel: string, callback: (payload: string | undefined) => void): Promise<() => Promise<void>>
  /**
   * Only where the database is files of this process: a copy of them as of one moment between transactions. Statements
   * wait while it is made. @throws MusterError `conflict` while another copy is there
   */
  readonly copyFiles?: () => Promise<FilesCopy>
  close(): Promise<void>
}

export interface FilesCopy {
  readonly directory: string
  /** Once; further calls do nothing. */
  remove(): Promise<void>
}

/** The database answered, and the answer was no. */
export class SqlError extends Error {
  override readonly name = 'SqlError'
  /** SQLSTATE, five characters. */
  readonly sqlState: string

  constructor(sqlState: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.sqlState = sqlState
  }
}

/** A name as SQL writes it. */
export const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`
/** A constant text as SQL writes it, whatever `standard_conforming_strings` says of backslashes. */
export function quoteText(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted
}
