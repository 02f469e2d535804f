/**
 * One statement for many who look at one thing with different values, as Hasura does it: each is a row of values, its
 * cohort, and the statement is run beside each. PostgreSQL plans it once, and many answers come in one trip.
 */
import type { Parameters } from '../database/database.ts'

/** Constants and names are passed over: what stands in them is no parameter. */
const parameterPlaces = /'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\d+)/g

/** `sql` with `count` parameters, run for each cohort: gives the cohort's place, from 1, before the statement's columns. */
export function cohortSql(sql: string, count: number): string {
  const inner = sql.replaceAll(parameterPlaces, (all, place?: string) =>
    place === undefined ? all : `cohort.v${place}`,
  )
  const places = Array.from({ length: count }, (_, index) => index + 1)
  const lists = places.map((place) => `($${place}::text)::text[]`)
  const names = places.map((place) => `v${place}, `)
  return (
    `select cohort.place::text, look.* from unnest(${lists.join(', ')}) with ordinality` +
    ` as cohort (${names.join('')}place) cross join lateral (${inner}) as look`
  )
}

/** The cohorts' values, one array for each parameter. */
export function cohortParameters(cohorts: readonly Parameters[]): Parameters {
  const count = cohorts[0]?.length ?? 0
  return Array.from({ length: count }, (_, place) => {
    const values = cohorts.map((values) => quoted(values[place] ?? null))
    return `{${values.join(',')}}`
  })
}

const quoted = (value: string | null): string =>
  value === null ? 'NULL' : `"${value.replaceAll(/["\\]/g, '\\$&')}"`
