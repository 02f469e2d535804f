import type { ContractCase } from '../case.ts'
import { answers, refuses } from '../case.ts'

const source = 'hasura/graphql-engine server/tests-py/queries/graphql_query/computed_fields'
const schema = 'hasura/graphql-engine server/src-lib/Hasura/Backends/Postgres/Schema/Select.hs'

export const computedFields: readonly ContractCase[] = [
  answers(
    'a scalar and rows, with what is asked of the function',
    '{ reader(order_by: {id: asc}) { full_name loans { isbn copy } loans_like(args: {search: "1%"}) { isbn } } }',
    {
      reader: [
        { full_name: 'ann Lee', loans: [{ isbn: '1', copy: 1 }], loans_like: [{ isbn: '1' }] },
        { full_name: 'bob', loans: [{ isbn: '3', copy: 1 }], loans_like: [] },
        { full_name: 'cleo Day', loans: [], loans_like: [] },
      ],
    },
    { fact: `${source}/computed_fields.yaml` },
  ),
  answers(
    'arguments of a scalar, defaults left out and given',
    '{ reader_by_pk(id: 2) { a: points_with(args: {bonus: 3}) b: points_with(args: {bonus: 3, factor: 10}) } }',
    { reader_by_pk: { a: 10, b: 100 } },
  ),
  answers(
    'arguments as a variable of their own type',
    'query ($a: points_with_reader_args!) { reader_by_pk(id: 1) { points_with(args: $a) } }',
    { reader_by_pk: { points_with: 31 } },
    { variables: { a: { bonus: 1 } }, fact: `${schema}: mkFunctionArgsTypeName` },
  ),
  answers('who asks', '{ reader_by_pk(id: 3) { greeting } }', {
    reader_by_pk: { greeting: 'Good day cleo, I am admin' },
  }),
  answers(
    'a path into jsonb',
    '{ reader_by_pk(id: 1) { card_of name: card_of(path: "$.name") tag: card_of(path: "tags[0]") } }',
    { reader_by_pk: { card_of: { name: 'ann', tags: ['verse'] }, name: 'ann', tag: 'verse' } },
  ),
  answers(
    'rows are filtered, ordered and paged',
    '{ reader_by_pk(id: 1) { a: loans(where: {copy: {_gt: 1}}) { isbn } b: loans(order_by: {copy: desc}, limit: 1, distinct_on: [copy]) { copy } } }',
    { reader_by_pk: { a: [], b: [{ copy: 1 }] } },
  ),
  answers(
    'a scalar in a filter',
    '{ a: reader(where: {full_name: {_ilike: "%day"}}) { id } b: reader(where: {double_points: {_gt: 20, _lt: 50}}) { id } }',
    { a: [{ id: 3 }], b: [{ id: 3 }] },
    { fact: `${source}/scalar_computed_field_filter.yaml` },
  ),
  answers(
    'a filter that compares a computed field with nothing',
    '{ reader(where: {greeting: {}, id: {_eq: 3}}) { id } }',
    {
      reader: [{ id: 3 }],
    },
  ),
  answers(
    'who asks in a filter',
    '{ reader(where: {greeting: {_eq: "Good day bob, I am admin"}}) { id } }',
    { reader: [{ id: 2 }] },
    { fact: `${source}/table_computed_field_filter_session_argument.yaml` },
  ),
  answers(
    'rows in a filter are as those of a relationship',
    '{ a: reader(where: {loans: {isbn: {_eq: "3"}}}) { id } b: reader(where: {_not: {loans: {}}}) { id } }',
    { a: [{ id: 2 }], b: [{ id: 3 }] },
    { fact: `${source}/table_computed_field_filter.yaml` },
  ),
  answers(
    'ordered by a scalar, and by aggregates of rows',
    '{ a: reader(order_by: {double_points: desc}) { id } b: reader(order_by: [{loans_aggregate: {count: desc}}, {full_name: desc}]) { id } c: reader(order_by: {loans_aggregate: {max: {isbn: desc_nulls_last}}}) { id } }',
    {
      a: [{ id: 1 }, { id: 3 }, { id: 2 }],
      b: [{ id: 2 }, { id: 1 }, { id: 3 }],
      c: [{ id: 2 }, { id: 1 }, { id: 3 }],
    },
    { fact: 'hasura/graphql-engine server/src-lib/Hasura/GraphQL/Schema/OrderBy.hs: FIComputedField' },
  ),
  answers(
    'aggregates of scalars, with their arguments',
    '{ reader_aggregate { aggregate { sum { double_points points_with(args: {bonus: 1}) } max { full_name } avg { double_points } } nodes { id } } }',
    {
      reader_aggregate: {
        aggregate: {
          sum: { double_points: 98, points_with: 52 },
          max: { full_name: 'cleo Day' },
          avg: { double_points: 32.666666666666664 },
        },
        nodes: [{ id: 1 }, { id: 2 }, { id: 3 }],
      },
    },
    {
      fact: 'hasura/graphql-engine server/src-lib/Hasura/GraphQL/Schema/Select.hs: mkColumnAggComputedField',
    },
  ),
  answers(
    'of written rows, as they are then',
    'mutation { update_reader_by_pk(pk_columns: {id: 2}, _set: {first_name: "ann", points: 1}) { full_name double_points loans { isbn } } insert_reader(objects: {id: 9, first_name: "new"}) { returning { full_name points_with(args: {bonus: 2}) } } }',
    {
      update_reader_by_pk: { full_name: 'ann', double_points: 2, loans: [{ isbn: '1' }] },
      insert_reader: { returning: [{ full_name: 'new', points_with: 2 }] },
    },
  ),
  answers(
    'a filter of what is written',
    'mutation { delete_reader(where: {full_name: {_eq: "bob"}}) { affected_rows } update_reader(where: {loans: {}}, _inc: {points: 1}) { affected_rows } }',
    { delete_reader: { affected_rows: 1 }, update_reader: { affected_rows: 1 } },
  ),
  answers(
    'descriptions: the own, the function’s, and one that is made',
    '{ __type(name: "reader_max_fields") { fields { name description } } }',
    {
      __type: {
        fields: [
          ...['id', 'first_name', 'last_name', 'points'].map((name) => ({ name, description: null })),
          { name: 'full_name', description: 'Both names.' },
          { name: 'points_with', description: 'Points and what comes on top.' },
          { name: 'double_points', description: 'A computed field, executes function "double_points"' },
          { name: 'greeting', description: 'A computed field, executes function "greeting"' },
        ],
      },
    },
    {
      onlyHere: 'the order in which introspection lists fields',
      fact: 'hasura/graphql-engine server/src-lib/Hasura/Backends/Postgres/DDL/ComputedField.hs: description',
    },
  ),
  refuses(
    'one with arguments in a filter',
    '{ reader(where: {loans_like: {isbn: {_eq: "1"}}}) { id } }',
    'validation-failed',
    '$.selectionSet.reader.args.where.loans_like',
    { fact: `${source}/table_computed_field_filter_fail.yaml` },
  ),
  refuses(
    'one with arguments in an order',
    '{ reader(order_by: {points_with: asc}) { id } }',
    'validation-failed',
    '$.selectionSet.reader.args.order_by.points_with',
  ),
  refuses(
    'arguments that are needed',
    '{ reader { points_with } }',
    'validation-failed',
    '$.selectionSet.reader.selectionSet.points_with.args.args',
  ),
  refuses(
    'an argument that is needed',
    '{ reader { points_with(args: {factor: 2}) } }',
    'not-supported',
    '$.selectionSet.reader.selectionSet.points_with.args.args',
    { fact: `${schema}: namedArgument` },
  ),
  refuses(
    "the row is nobody's to give",
    '{ reader { points_with(args: {bonus: 1, reader_row: {}}) } }',
    'validation-failed',
    '$.selectionSet.reader.selectionSet.points_with.args.args.reader_row',
  ),
  refuses(
    'aggregates of rows beside the rows',
    '{ reader { loans_aggregate { aggregate { count } } } }',
    'validation-failed',
    '$.selectionSet.reader.selectionSet.loans_aggregate',
    { fact: `${schema}: computedFieldPG` },
  ),
  refuses(
    'what is computed is not written',
    'mutation { insert_reader_one(object: {id: 9, first_name: "x", full_name: "y"}) { id } }',
    'validation-failed',
    '$.selectionSet.insert_reader_one.args.object.full_name',
  ),
]
