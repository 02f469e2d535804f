import type { ContractCase } from '../case.ts'
import { answers, refuses } from '../case.ts'

const titles = (shows: string, args: string, expected: readonly string[], fact?: string): ContractCase =>
  answers(
    shows,
    `{ books(${args}) { title } }`,
    { books: expected.map((title) => ({ title })) },
    fact === undefined ? {} : { fact },
  )
const codes = (shows: string, args: string, expected: string): ContractCase =>
  answers(shows, `{ shelf(${args}) { code } }`, { shelf: expected.split(' ').map((code) => ({ code })) })

export const selections: readonly ContractCase[] = [
  titles('ascending', 'order_by: {title: asc}', ['Beowulf', 'Dune', 'Emma', 'Persuasion'], '2.2 names'),
  titles('descending', 'order_by: {title: desc}', ['Persuasion', 'Emma', 'Dune', 'Beowulf'], '2.2 names'),
  titles(
    'nulls last when ascending',
    'order_by: [{price: asc}, {isbn: asc}]',
    ['Persuasion', 'Emma', 'Dune', 'Beowulf'],
    '2.2 default nulls',
  ),
  titles(
    'nulls first when descending',
    'order_by: [{price: desc}, {isbn: asc}]',
    ['Dune', 'Beowulf', 'Emma', 'Persuasion'],
    '2.2 default nulls',
  ),
  titles(
    'nulls first on demand',
    'order_by: [{price: asc_nulls_first}, {isbn: asc}]',
    ['Dune', 'Beowulf', 'Persuasion', 'Emma'],
    '2.2 names',
  ),
  titles(
    'ascending, nulls last on demand',
    'order_by: [{price: asc_nulls_last}, {isbn: desc}]',
    ['Persuasion', 'Emma', 'Beowulf', 'Dune'],
    '2.2 names',
  ),
  titles(
    'nulls last on demand',
    'order_by: [{price: desc_nulls_last}, {isbn: asc}]',
    ['Emma', 'Persuasion', 'Dune', 'Beowulf'],
    '2.2 names',
  ),
  titles(
    'descending, nulls first on demand',
    'order_by: [{price: desc_nulls_first}, {isbn: desc}]',
    ['Beowulf', 'Dune', 'Emma', 'Persuasion'],
    '2.2 names',
  ),
  titles('by several columns of one object', 'order_by: {author_id: asc, title: desc}', [
    'Persuasion',
    'Emma',
    'Dune',
    'Beowulf',
  ]),
  titles('through an object', 'order_by: [{author: {name: desc}}, {title: asc}]', [
    'Beowulf',
    'Dune',
    'Emma',
    'Persuasion',
  ]),
  titles('through an object, nulls last', 'order_by: [{author: {name: desc_nulls_last}}, {title: asc}]', [
    'Dune',
    'Emma',
    'Persuasion',
    'Beowulf',
  ]),
  titles('by how many', 'order_by: [{loans_aggregate: {count: desc}}, {isbn: desc}]', [
    'Emma',
    'Dune',
    'Beowulf',
    'Persuasion',
  ]),
  titles('by an aggregate', 'order_by: [{loans_aggregate: {max: {copy: desc_nulls_last}}}, {isbn: asc}]', [
    'Emma',
    'Dune',
    'Persuasion',
    'Beowulf',
  ]),
  titles('no order is asked', 'order_by: []', ['Emma', 'Persuasion', 'Dune', 'Beowulf']),
  titles('limit', 'order_by: {isbn: asc}, limit: 2', ['Emma', 'Persuasion'], '2.2 names'),
  titles('limit of nothing', 'limit: 0', []),
  titles('offset', 'order_by: {isbn: asc}, offset: 3', ['Beowulf'], '2.2 names'),
  titles('a page', 'order_by: {isbn: asc}, limit: 1, offset: 1', ['Persuasion'], '2.2 names'),
  titles('beyond the end', 'offset: 100', []),
  titles('null for no limit', 'order_by: {isbn: asc}, limit: null, where: {isbn: {_lt: "2"}}', ['Emma']),
  titles(
    'one of each',
    'distinct_on: author_id, order_by: [{author_id: asc}, {pageCount: desc}]',
    ['Emma', 'Dune', 'Beowulf'],
    '2.2 names',
  ),
  titles(
    'one of each by several',
    'distinct_on: [author_id, title], order_by: [{author_id: asc}, {title: asc}]',
    ['Emma', 'Persuasion', 'Dune', 'Beowulf'],
  ),
  titles('a filter and an order by the same', 'where: {pageCount: {_gt: 200}}, order_by: {pageCount: asc}', [
    'Persuasion',
    'Emma',
    'Dune',
  ]),
  codes('a self reference up', 'order_by: [{parent: {code: desc_nulls_last}}, {code: asc}]', 'A1 A2 A B'),
  codes(
    'a self reference in a filter',
    'where: {parent: {code: {_eq: "A"}}}, order_by: {code: asc}',
    'A1 A2',
  ),
  codes('its children in a filter', 'where: {shelves: {items: {}}}', 'A'),
  codes('a one-to-one in a filter', 'where: {card: {words: {_like: "L%"}}}', 'B'),
  codes('a one-to-one in an order', 'order_by: [{card: {words: asc}}, {code: desc}], limit: 2', 'B A2'),
  codes(
    'two relationships deep in an order',
    'where: {shelves: {}}, order_by: {items_aggregate: {sum: {weight: asc}}}',
    'A',
  ),
  answers(
    'by key',
    '{ author_by_pk(id: 2) { name } }',
    { author_by_pk: { name: 'Herbert' } },
    { fact: '2.2 names' },
  ),
  answers(
    'no such key',
    '{ author_by_pk(id: 9) { name } }',
    { author_by_pk: null },
    { fact: '2.2 semantics' },
  ),
  answers(
    'by a composite key',
    '{ item_by_pk(shelf_id: 2, place: 2) { label } }',
    { item_by_pk: { label: 'map' } },
    { fact: '2.2 names' },
  ),
  answers('by key through a custom name', '{ book(isbn: "3") { title } }', { book: { title: 'Dune' } }),
  answers(
    'a table of another schema',
    '{ shop_loan(where: {reader: {_eq: "bob"}}) { isbn } shop_loan_by_pk(isbn: "1", copy: 2) { reader } }',
    { shop_loan: [{ isbn: '3' }], shop_loan_by_pk: { reader: null } },
    { fact: '2.2 names' },
  ),
  answers('a view', '{ full_shelf(order_by: {id: asc}) { code items } }', {
    full_shelf: [
      { code: 'A1', items: 2 },
      { code: 'B', items: 1 },
    ],
  }),
  answers(
    'a view under a custom name, with a manual relationship',
    '{ ProlificAuthor(where: {books: {_gt: 1}}) { books author { name } } }',
    { ProlificAuthor: [{ books: 2, author: { name: 'Austen' } }] },
  ),
  answers(
    'an object',
    '{ book(isbn: "1") { author { name } } }',
    { book: { author: { name: 'Austen' } } },
    { fact: '2.2 names' },
  ),
  answers(
    'an object that is missing',
    '{ book(isbn: "4") { author { name } } }',
    { book: { author: null } },
    { fact: '2.2 names' },
  ),
  answers(
    'a list',
    '{ author(order_by: {id: asc}) { books(order_by: {isbn: asc}) { isbn } } }',
    { author: [{ books: [{ isbn: '1' }, { isbn: '2' }] }, { books: [{ isbn: '3' }] }, { books: [] }] },
    { fact: '2.2 names' },
  ),
  answers(
    'a list with arguments of its own',
    '{ author_by_pk(id: 1) { books(where: {pageCount: {_gt: 100}}, order_by: {title: desc}, limit: 1, offset: 1) { title } } }',
    { author_by_pk: { books: [{ title: 'Emma' }] } },
    { fact: '2.2 names' },
  ),
  answers(
    'the same list twice',
    '{ author_by_pk(id: 1) { short: books(where: {pageCount: {_lt: 300}}) { title } long: books(where: {pageCount: {_gte: 300}}) { title } } }',
    { author_by_pk: { short: [{ title: 'Persuasion' }], long: [{ title: 'Emma' }] } },
  ),
  answers(
    'a list, one of each',
    '{ author_by_pk(id: 1) { books(distinct_on: author_id, order_by: [{author_id: asc}, {isbn: desc}]) { isbn } } }',
    { author_by_pk: { books: [{ isbn: '2' }] } },
  ),
  answers('there and back', '{ book(isbn: "3") { author { books { author { name } } } } }', {
    book: { author: { books: [{ author: { name: 'Herbert' } }] } },
  }),
  answers(
    'a tree',
    '{ shelf_by_pk(id: 1) { parent { code } shelves(order_by: {code: asc}) { code parent { code } items(order_by: {place: asc}) { label } } } }',
    {
      shelf_by_pk: {
        parent: null,
        shelves: [
          { code: 'A1', parent: { code: 'A' }, items: [{ label: 'globe' }, { label: 'map' }] },
          { code: 'A2', parent: { code: 'A' }, items: [] },
        ],
      },
    },
  ),
  answers(
    'a one-to-one from both ends',
    '{ card { words shelf { code card { words } } } shelf_by_pk(id: 1) { card { id } } }',
    {
      card: [{ words: 'Lamps', shelf: { code: 'B', card: { words: 'Lamps' } } }],
      shelf_by_pk: { card: null },
    },
  ),
  answers(
    'several root fields, in the order of asking',
    '{ b: author_by_pk(id: 2) { name } a: author_by_pk(id: 1) { name } }',
    { b: { name: 'Herbert' }, a: { name: 'Austen' } },
    { holds: ['{"b":{"name":"Herbert"},"a":'] },
  ),
  answers('aliases everywhere', '{ x: book(isbn: "1") { y: title z: author { w: name } } }', {
    x: { y: 'Emma', z: { w: 'Austen' } },
  }),
  answers('a column twice', '{ book(isbn: "1") { title title t: title } }', {
    book: { title: 'Emma', t: 'Emma' },
  }),
  answers('a long alias', `{ ${'x'.repeat(80)}: book(isbn: "1") { ${'y'.repeat(80)}: title } }`, {
    ['x'.repeat(80)]: { ['y'.repeat(80)]: 'Emma' },
  }),
  answers(
    'names of types',
    '{ __typename book(isbn: "1") { __typename author { __typename } } author_aggregate { __typename aggregate { __typename } } }',
    {
      __typename: 'query_root',
      book: { __typename: 'book', author: { __typename: 'author' } },
      author_aggregate: {
        __typename: 'author_aggregate',
        aggregate: { __typename: 'author_aggregate_fields' },
      },
    },
  ),
  answers(
    'all skipped, and yet one of each',
    '{ author_by_pk(id: 1) { books(distinct_on: author_id) { isbn @skip(if: true) } } }',
    { author_by_pk: { books: [{}] } },
  ),
  answers(
    'a part of jsonb',
    '{ item_by_pk(shelf_id: 2, place: 1) { a: state(path: "$.a") b: state(path: "list[1]") c: state(path: "$.o.p") d: state(path: "none") } }',
    { item_by_pk: { a: 1, b: 2, c: 'q', d: null } },
    { fact: '2.2 jsonb field arg' },
  ),
  refuses(
    'a path that is none',
    '{ item { state(path: "a[") } }',
    'parse-failed',
    '$.selectionSet.item.selectionSet.state.args.path',
  ),
  refuses('an unknown root field', '{ film { id } }', 'validation-failed', '$.selectionSet.film', {
    fact: '2.1 errors',
    message: "field 'film' not found in type: 'query_root'",
  }),
  refuses(
    'an unknown field',
    '{ author { notPresentCol } }',
    'validation-failed',
    '$.selectionSet.author.selectionSet.notPresentCol',
    { fact: '2.1 errors', message: "field 'notPresentCol' not found in type: 'author'" },
  ),
  refuses(
    'an unknown field, deep',
    '{ author { books { none } } }',
    'validation-failed',
    '$.selectionSet.author.selectionSet.books.selectionSet.none',
    { fact: '2.1 errors' },
  ),
  refuses(
    'an unknown field under an alias',
    '{ a: author { none } }',
    'validation-failed',
    '$.selectionSet.a.selectionSet.none',
  ),
  refuses(
    'an unknown argument',
    '{ author(filter: {}) { id } }',
    'validation-failed',
    '$.selectionSet.author.args.filter',
  ),
  refuses(
    'a key that is incomplete',
    '{ item_by_pk(shelf_id: 2) { label } }',
    'validation-failed',
    '$.selectionSet.item_by_pk.args.place',
  ),
  refuses('an object without a selection', '{ author }', 'validation-failed', '$.selectionSet.author'),
  refuses(
    'a column with a selection',
    '{ author { name { x } } }',
    'validation-failed',
    '$.selectionSet.author.selectionSet.name',
  ),
  refuses(
    'an unknown order',
    '{ author(order_by: {name: up}) { id } }',
    'validation-failed',
    '$.selectionSet.author.args.order_by.name',
  ),
  refuses(
    'a negative limit',
    '{ author(limit: -1) { id } }',
    'validation-failed',
    '$.selectionSet.author.args.limit',
  ),
  refuses(
    'a negative limit inside',
    '{ author { books(limit: -1) { isbn } } }',
    'validation-failed',
    '$.selectionSet.author.selectionSet.books.args.limit',
  ),
  refuses(
    'distinct by what is not ordered by',
    '{ books(distinct_on: author_id, order_by: {title: asc}) { isbn } }',
    'validation-failed',
    '$.selectionSet.books.args',
  ),
  refuses(
    'two meanings of one name',
    '{ author { id: name id } }',
    'validation-failed',
    '$.selectionSet.author.selectionSet.id',
  ),
  refuses(
    'an order by json',
    '{ sample(order_by: {nothing: asc}) { id } }',
    'validation-failed',
    '$.selectionSet.sample.args.order_by.nothing',
  ),
]
