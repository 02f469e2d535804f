import { expect, test } from 'vitest'

import { cohortParameters, cohortSql } from '../../../../src/embedded/sql/cohort-sql.ts'

test('parameters become the values of a cohort, but not what only looks like one', () => {
  expect(cohortSql(`select '$1', "a$2""$1", E'\\\\''$1', ($1::text)::int, $12::text`, 2)).toBe(
    `select cohort.place::text, look.* from unnest(($1::text)::text[], ($2::text)::text[]) with ordinality` +
      ` as cohort (v1, v2, place) cross join lateral` +
      ` (select '$1', "a$2""$1", E'\\\\''$1', (cohort.v1::text)::int, cohort.v12::text) as look`,
  )
})

test('the values of all cohorts make one array for each parameter', () => {
  expect(
    cohortParameters([
      ['a', null],
      ['"\\{},', 'null'],
    ]),
  ).toEqual(['{"a","\\"\\\\{},"}', '{NULL,"null"}'])
})
