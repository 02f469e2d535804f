/** A project with roles: who works in a team sees the team, and its own and its public notes. */
import { adminSecret } from './an-endpoint.ts'

export const officeProject = new URL('office-project', import.meta.url).pathname
export const officeJwtKey = 'a key of at least thirty-two bytes'

export type Headers = Readonly<Record<string, string>>
export const as = (role: string, variables: Headers = {}): Headers => ({
  'x-hasura-admin-secret': adminSecret,
  'x-hasura-role': role,
  ...variables,
})
export const bob = as('worker', { 'X-Hasura-User-Id': '2', 'X-Hasura-Team': 'red' })
export const cat = as('worker', { 'x-hasura-user-id': '3', 'x-hasura-team': 'blue' })
export const guest = as('guest', { 'x-hasura-note-ids': '{2,4,5}', 'x-hasura-password': 'open sesame' })
