import pg from 'pg'

import { MusterError } from '../../model/errors.ts'
import { SqlError } from './database.ts'

/** The server is stopping, starting or full; class 08 is the connection itself. */
const awayStates = new Set(['57P01', '57P02', '57P03', '57P05', '53300'])

/**
 * What a driver's error means to the endpoint: a refusal by the database, or a database that is away (a network
 * error, or one of the states above): retryable.
 */
export function postgresErrorOf(error: unknown): Error {
  if (error instanceof SqlError || error instanceof MusterError) return error
  if (error instanceof pg.DatabaseError && error.code !== undefined) {
    if (awayStates.has(error.code) || error.code.startsWith('08')) return awayError(error)
    return new SqlError(error.code, error.message, error)
  }
  // The driver's own refusals (a bad URL, an unknown authentication method) have no code and name no network fault.
  return awayError(error)
}

function awayError(cause: unknown): MusterError {
  return new MusterError('database-unavailable', `the database is away: ${reasonOf(cause)}`, {
    cause,
    retryable: true,
  })
}

/** Node reports a name with several addresses as one error of many, whose own message is empty. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map(reasonOf).join(', ')
  }
  return error instanceof Error ? error.message : String(error)
}
