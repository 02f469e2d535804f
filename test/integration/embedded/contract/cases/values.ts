import type { ContractCase } from '../case.ts'
import { answers } from '../case.ts'

const one = (shows: string, column: string, text: string, fact?: string): ContractCase => ({
  ...answers(shows, `{ v: sample_by_pk(id: 1) { ${column} } }`, {
    v: { [column]: JSON.parse(text) as unknown },
  }),
  holds: [`:${text}}`],
  ...(fact === undefined ? {} : { fact }),
})
const curio = (shows: string, column: string, text: string, fact?: string): ContractCase => ({
  ...answers(shows, `{ v: curio_by_pk(id: "00000000-0000-0000-0000-000000000001") { ${column} } }`, {
    v: { [column]: JSON.parse(text) as unknown },
  }),
  holds: [`:${text}}`],
  ...(fact === undefined ? {} : { fact }),
})
const number = '2.2 number output'

/** As they come by default. */
export const values: readonly ContractCase[] = [
  one('bigint is a number with all its digits', 'big', '4611686018427387903', number),
  one('a generated bigint', 'doubled', '9223372036854775806', number),
  one('smallint', 'small', '7', number),
  one('numeric keeps its digits', 'exact', '1.234', number),
  one('double precision', 'double', '0.5', number),
  one('boolean', 'flag', 'true'),
  one('timestamptz with an offset', 'at', '"2015-10-17T14:42:43+00:00"', number),
  one('date', 'day', '"2020-01-02"'),
  one('inet without a mask', 'address', '"198.24.10.0"', '5.2 trap 2'),
  one('uuid in lower case', 'unique_id', '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"'),
  one('jsonb as it is, null and all', 'data', '{"a": 1, "b": [1, 2, {"c": "d"}], "n": null}'),
  one('json letter by letter', 'raw', '{"z":1}'),
  one('an array of texts', 'words', '["x","y"]'),
  one('an array of bigints, exact', 'numbers', '[1,9007199254740993]', number),
  one('a column named like a keyword', 'select', '"from"'),
  answers(
    'microseconds are kept',
    '{ sample_by_pk(id: 2) { at } }',
    { sample_by_pk: { at: '2019-12-31T22:00:00.123456+00:00' } },
    { fact: '5.2 trap 3' },
  ),
  answers('nulls', '{ sample_by_pk(id: 3) { big exact at address data words } }', {
    sample_by_pk: { big: null, exact: null, at: null, address: null, data: null, words: null },
  }),
  answers('an empty array', '{ sample_by_pk(id: 2) { words } }', { sample_by_pk: { words: [] } }),
  answers('an integral numeric', '{ sample_by_pk(id: 2) { exact } }', { sample_by_pk: { exact: 20 } }),
  curio('enum', 'colour', '"red"'),
  curio('an array of enums', 'colours', '["red","blue"]'),
  curio('money', 'cost', '"$12,345.67"', number),
  curio('interval', 'lasts', '"01:03:02"', number),
  curio('time', 'at_hour', '"12:30:00"'),
  curio('timestamp without a zone', 'stamp', '"2020-01-02T03:04:05"'),
  curio('cidr', 'net', '"10.0.0.0/8"'),
  curio('macaddr', 'mac', '"08:00:2b:01:02:03"'),
  curio('char is padded', 'code', '"ab "'),
  curio('varchar', 'short', '"short"'),
  curio('real', 'ratio', '1.5', number),
  curio('an array of integers', 'numbers', '[1,2,3]'),
  curio('an array of booleans', 'flags', '[true,false]'),
  curio('numeric with its scale', 'grid', '3.10', number),
  curio('range', 'span', '"[1,5)"'),
  curio('bytea', 'bits', '"\\\\xdead"'),
  answers(
    'unicode, both ways',
    'mutation { insert_author_one(object: {id: 9, name: "Ünï😀\\u0007\\"\\\\"}) { name } }',
    { insert_author_one: { name: 'Ünï😀\u0007"\\' } },
  ),
  answers(
    'jsonb numbers that no double holds',
    'mutation { insert_sample_one(object: {id: 9, data: {n: 12345678901234567890}}) { data } }',
    { insert_sample_one: { data: { n: 12345678901234567000 } } },
    { holds: ['12345678901234567890'], fact: '5.2 trap 1' },
  ),
  answers(
    'null in jsonb is a value',
    'mutation ($d: jsonb) { insert_sample_one(object: {id: 9, data: $d}) { data } }',
    { insert_sample_one: { data: { x: null } } },
    { variables: { d: { x: null } } },
  ),
]

const text = (shows: string, column: string, expected: unknown, fact = number): ContractCase =>
  answers(shows, `{ v: sample_by_pk(id: 1) { ${column} } }`, { v: { [column]: expected } }, { fact })

/** With HASURA_GRAPHQL_STRINGIFY_NUMERIC_TYPES. */
export const stringifiedValues: readonly ContractCase[] = [
  text('bigint is text', 'big', '4611686018427387903'),
  text('numeric is text', 'exact', '1.234'),
  text('double precision is text', 'double', '0.5'),
  text('smallint stays a number', 'small', 7),
  text('bigints in an array', 'numbers', ['1', '9007199254740993']),
  answers(
    'real stays a number',
    '{ curio(where: {ratio: {_is_null: false}}) { ratio } }',
    { curio: [{ ratio: 1.5 }] },
    { fact: number },
  ),
  answers(
    'Int stays a number',
    '{ author_by_pk(id: 1) { id } }',
    { author_by_pk: { id: 1 } },
    { fact: number },
  ),
  answers(
    'count stays a number',
    '{ author_aggregate { aggregate { count } } }',
    { author_aggregate: { aggregate: { count: 3 } } },
    { fact: number },
  ),
  answers(
    'sums and extremes are text',
    '{ sample_aggregate { aggregate { max { big exact } } } }',
    { sample_aggregate: { aggregate: { max: { big: '4611686018427387903', exact: '20' } } } },
    { fact: number },
  ),
]
