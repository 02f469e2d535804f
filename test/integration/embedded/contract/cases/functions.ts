import type { ContractCase } from '../case.ts'
import { answers, refuses } from '../case.ts'

export const functions: readonly ContractCase[] = [
  answers('rows', '{ search_books(args: {search: "m"}, order_by: {isbn: asc}) { isbn } }', {
    search_books: [{ isbn: '1' }],
  }),
  answers(
    'a default is left out or given',
    '{ a: search_books(args: {search: "e", most_pages: 200}) { isbn } b: search_books_aggregate(args: {search: "e"}) { aggregate { count } } }',
    { a: [{ isbn: '4' }], b: { aggregate: { count: 4 } } },
  ),
  answers(
    'a filter, an order and a page over it',
    '{ search_books(args: {search: ""}, where: {pageCount: {_gt: 200}}, order_by: {pageCount: desc}, limit: 2) { title author { name } } }',
    {
      search_books: [
        { title: 'Dune', author: { name: 'Herbert' } },
        { title: 'Emma', author: { name: 'Austen' } },
      ],
    },
  ),
  answers(
    'an aggregate over it',
    '{ search_books_aggregate(args: {search: "e"}) { aggregate { max { pageCount } } nodes { isbn } } }',
    {
      search_books_aggregate: {
        aggregate: { max: { pageCount: 604 } },
        nodes: [{ isbn: '1' }, { isbn: '2' }, { isbn: '3' }, { isbn: '4' }],
      },
    },
  ),
  answers(
    'arguments as a variable',
    'query ($a: search_books_args!) { search_books(args: $a) { isbn } }',
    { search_books: [{ isbn: '3' }] },
    { variables: { a: { search: 'dune' } } },
  ),
  answers(
    'one row, under a custom name',
    '{ firstAuthor { name books(limit: 1, order_by: {isbn: asc}) { isbn } } }',
    { firstAuthor: { name: 'Austen', books: [{ isbn: '1' }] } },
  ),
  answers(
    'rows of a recursive one, with relationships',
    '{ shelves_under(args: {root: "A"}, order_by: {code: asc}) { code parent { code } } }',
    {
      shelves_under: [
        { code: 'A', parent: null },
        { code: 'A1', parent: { code: 'A' } },
        { code: 'A2', parent: { code: 'A' } },
      ],
    },
  ),
  answers(
    'who asks',
    '{ who_asks { code } }',
    { who_asks: [{ code: 'admin' }] },
    { fact: 'issue 3: tracked functions' },
  ),
  answers('who asks, beside an argument', '{ who_asks(args: {prefix: "I am "}) { code } }', {
    who_asks: [{ code: 'I am admin' }],
  }),
  answers(
    'a volatile one is a mutation',
    'mutation { fill_shelf(args: {shelf_code: "A", labels: ["x", "y"]}, order_by: {place: asc}) { place label shelf { code } } }',
    {
      fill_shelf: [
        { place: 1, label: 'x', shelf: { code: 'A' } },
        { place: 2, label: 'y', shelf: { code: 'A' } },
      ],
    },
  ),
  answers(
    'jsonb arguments, upserts inside',
    'mutation ($c: jsonb!) { lend: shop_lend(args: {copies: $c, to_reader: "eve"}, order_by: {isbn: asc}) { isbn copy reader times } }',
    {
      lend: [
        { isbn: '1', copy: 1, reader: 'eve', times: 2 },
        { isbn: '4', copy: 1, reader: 'eve', times: 1 },
      ],
    },
    {
      variables: {
        c: [
          { isbn: '1', copy: 1 },
          { isbn: '4', copy: 1 },
        ],
      },
    },
  ),
  answers('null is an argument', '{ search_books(args: {search: null}) { isbn } }', { search_books: [] }),
  refuses(
    'an argument that is needed',
    '{ search_books(args: {most_pages: 1}) { isbn } }',
    'not-supported',
    '$.selectionSet.search_books.args.args',
  ),
  refuses(
    'all arguments left out',
    '{ search_books { isbn } }',
    'validation-failed',
    '$.selectionSet.search_books.args.args',
  ),
  refuses(
    "the session is nobody's to give",
    '{ who_asks(args: {session: {}}) { code } }',
    'validation-failed',
    '$.selectionSet.who_asks.args.args.session',
  ),
  refuses(
    'a mutation is no query',
    '{ fill_shelf(args: {shelf_code: "A", labels: []}) { place } }',
    'validation-failed',
    '$.selectionSet.fill_shelf',
  ),
  refuses(
    'what it runs into',
    'mutation { fill_shelf(args: {shelf_code: "B", labels: ["x"]}) { place } }',
    'constraint-violation',
    '$',
  ),
]
