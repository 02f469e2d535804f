import type { ContractCase } from '../case.ts'
import { answers, refuses } from '../case.ts'

const of = (shows: string, field: string, aggregate: unknown, fact?: string): ContractCase =>
  answers(
    shows,
    `{ ${field.startsWith('(') ? 'book_aggregate' + field : 'book_aggregate { aggregate { ' + field + ' } }'} }`,
    { book_aggregate: { aggregate } },
    fact === undefined ? {} : { fact },
  )

export const aggregates: readonly ContractCase[] = [
  of('all of a part skipped', 'sum { pageCount @skip(if: true) }', { sum: {} }),
  of('only the name of a part', 'max { __typename }', { max: { __typename: 'book_max_fields' } }),
  of('count', 'count', { count: 4 }, '2.2 names'),
  of('count of a column leaves out nulls', 'count(columns: author_id)', { count: 3 }, '2.2 names'),
  of('count of a column in a list', 'count(columns: [author_id])', { count: 3 }),
  of('count of what differs', 'count(columns: author_id, distinct: true)', { count: 2 }),
  of('count of pairs', 'count(columns: [author_id, title], distinct: true)', { count: 4 }),
  of('several counts', 'a: count b: count(columns: price)', { a: 4, b: 2 }),
  of('sum', 'sum { pageCount price }', { sum: { pageCount: 1437, price: 16.75 } }),
  of('avg', 'avg { pageCount }', { avg: { pageCount: 359.25 } }),
  of('min and max', 'min { title pageCount } max { title pageCount }', {
    min: { title: 'Beowulf', pageCount: 110 },
    max: { title: 'Persuasion', pageCount: 604 },
  }),
  of(
    'over no rows',
    '(where: {isbn: {_eq: "9"}}) { aggregate { count sum { pageCount } avg { pageCount } max { title } } }',
    { count: 0, sum: { pageCount: null }, avg: { pageCount: null }, max: { title: null } },
    '2.2 semantics',
  ),
  of('over a filter', '(where: {pageCount: {_gt: 300}}) { aggregate { count } }', { count: 2 }),
  of('over a page', '(order_by: {pageCount: desc}, limit: 2) { aggregate { count sum { pageCount } } }', {
    count: 2,
    sum: { pageCount: 1078 },
  }),
  of('beyond an offset', '(order_by: {pageCount: desc}, offset: 3) { aggregate { count } }', { count: 1 }),
  of('over one of each', '(distinct_on: author_id) { aggregate { count } }', { count: 3 }),
  answers(
    'population variance',
    '{ shelf_aggregate(where: {parent_id: {_is_null: false}}) { aggregate { var_pop { capacity } stddev_pop { capacity } variance { capacity } } } }',
    {
      shelf_aggregate: {
        aggregate: {
          var_pop: { capacity: 6.25 },
          stddev_pop: { capacity: 2.5 },
          variance: { capacity: 12.5 },
        },
      },
    },
  ),
  answers(
    'nodes',
    '{ book_aggregate(where: {author_id: {_eq: 1}}, order_by: {isbn: desc}) { nodes { isbn author { name } } } }',
    {
      book_aggregate: {
        nodes: [
          { isbn: '2', author: { name: 'Austen' } },
          { isbn: '1', author: { name: 'Austen' } },
        ],
      },
    },
    { fact: '2.2 names' },
  ),
  answers(
    'nodes and counts together',
    '{ author_aggregate(order_by: {id: asc}) { aggregate { count } nodes { id } } }',
    { author_aggregate: { aggregate: { count: 3 }, nodes: [{ id: 1 }, { id: 2 }, { id: 3 }] } },
  ),
  answers(
    'of a relationship',
    '{ author(order_by: {id: asc}) { books_aggregate { aggregate { count max { pageCount } } } } }',
    {
      author: [
        { books_aggregate: { aggregate: { count: 2, max: { pageCount: 474 } } } },
        { books_aggregate: { aggregate: { count: 1, max: { pageCount: 604 } } } },
        { books_aggregate: { aggregate: { count: 0, max: { pageCount: null } } } },
      ],
    },
    { fact: '2.2 names' },
  ),
  answers(
    'of a relationship with arguments',
    '{ author_by_pk(id: 1) { books_aggregate(where: {title: {_like: "E%"}}) { aggregate { count } nodes { title } } } }',
    { author_by_pk: { books_aggregate: { aggregate: { count: 1 }, nodes: [{ title: 'Emma' }] } } },
  ),
  answers(
    'inside of nodes',
    '{ author_aggregate(where: {id: {_eq: 1}}) { nodes { books_aggregate { aggregate { count } } } } }',
    { author_aggregate: { nodes: [{ books_aggregate: { aggregate: { count: 2 } } }] } },
  ),
  answers('of a view', '{ full_shelf_aggregate { aggregate { count sum { items } } } }', {
    full_shelf_aggregate: { aggregate: { count: 2, sum: { items: 3 } } },
  }),
  answers('an aliased aggregate', '{ x: book_aggregate { y: aggregate { z: max { w: pageCount } } } }', {
    x: { y: { z: { w: 604 } } },
  }),
  answers(
    'a sum of bigints is exact',
    '{ sample_aggregate { aggregate { max { big } } } }',
    { sample_aggregate: { aggregate: { max: { big: Number('4611686018427387903') } } } },
    { holds: ['4611686018427387903'], fact: '2.2 number output' },
  ),
  refuses(
    'a sum of texts',
    '{ book_aggregate { aggregate { sum { title } } } }',
    'validation-failed',
    '$.selectionSet.book_aggregate.selectionSet.aggregate.selectionSet.sum.selectionSet.title',
  ),
  refuses(
    'an unknown column to count',
    '{ book_aggregate { aggregate { count(columns: none) } } }',
    'validation-failed',
    '$.selectionSet.book_aggregate.selectionSet.aggregate.selectionSet.count.args.columns',
  ),
]
