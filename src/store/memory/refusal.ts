import { MusterError } from '../../model/errors.ts'

/** What the database raises where a trigger, a CHECK or a constraint says no: the whole transaction is undone. */
export function refusal(words: string): MusterError {
  return new MusterError('database-refused', words)
}
