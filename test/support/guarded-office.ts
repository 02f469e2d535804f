/**
 * The office with something to hide: canaries, values that nobody can guess, in every column that a role may not read and
 * every row that it may not see; and who asks, honest and otherwise.
 */
import { randomBytes, randomInt } from 'node:crypto'

import { buildClientSchema, getIntrospectionQuery } from 'graphql'
import type { GraphQLSchema, IntrospectionQuery } from 'graphql'
import { SignJWT } from 'jose'
import { expect } from 'vitest'

import type { AnEndpoint, DatabaseKind } from './an-endpoint.ts'
import { anEndpoint } from './an-endpoint.ts'
import type { Headers } from './office.ts'
import { as, bob, cat, officeJwtKey, officeProject } from './office.ts'

export interface Asker {
  readonly name: string
  readonly headers: Headers
  readonly schema: GraphQLSchema
  /** The canary in this text, if there is one that the asker must never hear. */
  readonly hears: (text: string) => string | undefined
}

export interface GuardedOffice {
  readonly office: AnEndpoint
  /** All that there is. */
  readonly schema: GraphQLSchema
  readonly askers: readonly Asker[]
  /**
   * Rows that no asker may change, as text. Without `is_public`, which the tracked function `publish` sets for whoever may
   * call it: permissions of the table do not bind it.
   */
  readonly foreignRows: () => Promise<string>
  /** Puts back the rows that are some asker's own; gives how many had been changed or deleted. */
  readonly reviveOwnRows: () => Promise<number>
  /** Changes rows that no asker may see, so that whatever follows them looks again. */
  readonly stirForeignRows: () => Promise<void>
}

/** Session variables that mean no good: none of them is a user or a team. */
const hostileValues = [
  `2' or '1'='1`,
  `2) or (1=1`,
  `'; delete from note; --`,
  `"2"`,
  '{1,4}',
  '{"',
  '[1]',
  '{"_neq":0}',
  '\\',
  '$1',
  '%',
  '',
  'null',
  'NaN',
  '1e400',
  '99999999999999999999',
  '\u0000',
  'red\u0000',
  '\ud800',
  'x'.repeat(5_000),
]
/** As a list of ids, none of which is there. */
const hostileLists = ['{2,6', '{{90,91},{92,93}}', '[2]', '{NULL}', `{90}' or true --`, '{90,"\\"}', '\u0000']
/** Claims are texts; who signs others is refused. */
const confusedValues: readonly unknown[] = [2, true, null, [2], { _gt: 0 }]

export async function aGuardedOffice(kind: DatabaseKind): Promise<GuardedOffice> {
  const office = await anEndpoint(kind, {
    projectDir: officeProject,
    jwt: JSON.stringify({ type: 'HS256', key: officeJwtKey }),
    unauthorizedRole: 'guest',
  })
  const everybodys = canary()
  const [bobs, cats] = [canary(), canary()]
  const own = await fill(office, everybodys, bobs, cats)

  const schemaFor = async (headers?: Headers): Promise<GraphQLSchema> => {
    const { data } = await office.ask(getIntrospectionQuery(), undefined, headers)
    return buildClientSchema(data as unknown as IntrospectionQuery)
  }
  const asker = async (name: string, headers: Headers, like: Headers, own?: Canary): Promise<Asker> => {
    const secrets = [everybodys, bobs, cats]
      .filter((each) => each !== own)
      .flatMap(({ text, digits }) => [text, digits])
    return {
      name,
      headers,
      schema: await schemaFor(like),
      hears: (text) => secrets.find((secret) => text.includes(secret)),
    }
  }
  const guest = as('guest', { 'x-hasura-note-ids': '{2,6}', 'x-hasura-password': 'open sesame' })
  const clerk = as('clerk', { 'x-hasura-use-backend-only-permissions': 'true' })
  const askers = [
    await asker('bob', bob, bob, bobs),
    await asker('bob', bob, bob, bobs),
    await asker('cat', cat, cat, cats),
    await asker('guest', guest, guest),
    await asker('clerk', clerk, clerk),
    await asker('nobody', as('somebody'), as('somebody')),
  ]
  for (const value of [...hostileValues, ...confusedValues]) {
    // One hostile variable at a time, or the first fault would hide the other.
    for (const [user, team] of [
      [value, 'red'],
      ['2000', value],
    ] as const) {
      const headers = await bearing('worker', { 'x-hasura-user-id': user, 'x-hasura-team': team })
      askers.push(await asker(`worker ${JSON.stringify([user, team])}`.slice(0, 100), headers, bob))
    }
  }
  for (const list of hostileLists) {
    const headers = await bearing('guest', { 'x-hasura-note-ids': list, 'x-hasura-password': `' or true --` })
    askers.push(await asker(`guest ${JSON.stringify(list)}`, headers, guest))
  }
  return {
    office,
    schema: await schemaFor(),
    askers,
    foreignRows: async () => {
      const text = await office.askText(JSON.stringify({ query: foreign }))
      // Whoever looks for canaries must be able to find one.
      for (const secret of [everybodys.text, everybodys.digits]) expect(text).toContain(secret)
      return text
    },
    reviveOwnRows: async () => {
      const revive = () =>
        office.ask(
          `mutation ($notes: [note_insert_input!]!) {
          delete_note(where: {id: {_in: [2, 3, 4]}, edited_by: {_gt: 1000}}) { affected_rows }
          insert_note(objects: $notes, on_conflict: {
            constraint: note_pkey, update_columns: [author_id, title, body, is_public, edited_by, origin]
          }) { affected_rows }
        }`,
          { notes: own },
        )
      let { data, errors } = await revive()
      // Others write the same rows: such a conflict is the client's to say again.
      for (let again = 0; again < 5 && errors?.[0]?.extensions['code'] === 'concurrent-update'; again += 1) {
        ;({ data, errors } = await revive())
      }
      expect(errors).toBeUndefined()
      const { affected_rows: unchanged } = data?.delete_note as { affected_rows: number }
      return own.length - unchanged
    },
    stirForeignRows: async () => {
      const { errors } = await office.ask(
        'mutation { update_note(where: {author_id: {_in: [4, 5]}}, _inc: {edited_by: 1}) { affected_rows } }',
      )
      expect(errors).toBeUndefined()
    },
  }
}

interface Canary {
  readonly text: string
  /** The first digits of each number of ten. */
  readonly digits: string
}

const canary = (): Canary => ({
  text: `canary${randomBytes(12).toString('hex')}`,
  digits: `1${randomInt(10_000_000, 99_999_999)}`,
})

async function bearing(role: string, variables: Readonly<Record<string, unknown>>): Promise<Headers> {
  const claims = { 'x-hasura-allowed-roles': [role], 'x-hasura-default-role': role, ...variables }
  const token = await new SignJWT({ 'https://hasura.io/jwt/claims': claims })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime('1h')
    .sign(Buffer.from(officeJwtKey))
  return { authorization: `Bearer ${token}` }
}

/** Rows of ann (1), who asks nothing, and of 4 and 5, whose team is nobody's. */
const foreign = `{
  employee(order_by: {id: asc}) { id fullName team salary manager_id }
  note(where: {id: {_in: [0, 1, 5, 6, 7]}}, order_by: {id: asc}) { id author_id title body edited_by origin }
  audit(order_by: {id: asc}) { id message }
}`

/** Ids are those that the documents like to name. Gives the notes of who asks. */
async function fill(
  office: AnEndpoint,
  all: Canary,
  bobs: Canary,
  cats: Canary,
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  let count = 0
  const number = ({ digits }: Canary): number => Number(`${digits}${count++ % 10}`)
  const text = ({ text: secret }: Canary): string => `${secret}-${count++}`
  const hidden = () => ({ body: text(all), edited_by: number(all), origin: text(all) })
  const salary = () => ({ salary: number(all) })
  const variables = {
    employees: [
      { id: 1, fullName: 'ann', team: 'red', ...salary() },
      { id: 2, fullName: 'bob', team: 'red', manager_id: 1, ...salary() },
      { id: 3, fullName: 'cat', team: 'blue', manager_id: 1, ...salary() },
      { id: 4, fullName: text(all), team: text(all), manager_id: 1, ...salary() },
      { id: 5, fullName: text(all), team: text(all), manager_id: 4, ...salary() },
    ],
    notes: [
      { id: 0, author_id: 4, title: text(all), is_public: true, ...hidden() },
      { id: 1, author_id: 4, title: text(all), ...hidden() },
      { id: 2, author_id: 2, title: 'b2', is_public: true, ...hidden() },
      { id: 3, author_id: 2, title: text(bobs), ...hidden() },
      { id: 4, author_id: 3, title: text(cats), ...hidden() },
      { id: 5, author_id: 5, title: text(all), ...hidden() },
      { id: 6, author_id: 1, title: 'a6', is_public: true, ...hidden() },
      { id: 7, author_id: 5, title: `A Emma red 1 2 ${text(all)}`, is_public: true, ...hidden() },
    ],
    audits: [{ id: 2, message: text(all) }],
  }
  const { errors } = await office.ask(
    `mutation ($employees: [employee_insert_input!]!, $notes: [note_insert_input!]!, $audits: [audit_insert_input!]!) {
      delete_note(where: {}) { affected_rows }
      delete_employee(where: {}) { affected_rows }
      insert_employee(objects: $employees) { affected_rows }
      insert_note(objects: $notes) { affected_rows }
      insert_audit(objects: $audits) { affected_rows }
    }`,
    variables,
  )
  expect(errors).toBeUndefined()
  return variables.notes.filter(({ id }) => [2, 3, 4].includes(id))
}
