import type { ContractCase } from '../case.ts'
import { answers, refuses } from '../case.ts'

const emma = { book: { title: 'Emma' } }
/** Hasura has such limits in its paid editions only, and elsewhere. */
const bound = { onlyHere: 'it is about bounds of the embedded endpoint' }
const deep = (levels: number): string =>
  `{ author { ${'books { author { '.repeat(levels)} id ${'} }'.repeat(levels)} } }`

export const documents: readonly ContractCase[] = [
  answers('a query without a name', '{ book(isbn: "1") { title } }', emma),
  answers('a query with a name', 'query One { book(isbn: "1") { title } }', emma, { operationName: 'One' }),
  answers('the one operation without its name', 'query One { book(isbn: "1") { title } }', emma),
  answers(
    'one of several operations',
    'query A { author { id } } query B { book(isbn: "1") { title } }',
    emma,
    { operationName: 'B' },
  ),
  answers('a comment and commas', '# here\n{ book(isbn: "1",) { title, } }', emma),
  answers('a block string', '{ book(isbn: """1""") { title } }', emma),
  answers('an escaped string', '{ books(where: {title: {_eq: "Em\\u006da"}}) { title } }', {
    books: [{ title: 'Emma' }],
  }),
  answers('a variable', 'query ($i: String!) { book(isbn: $i) { title } }', emma, { variables: { i: '1' } }),
  answers('a default', 'query ($i: String! = "1") { book(isbn: $i) { title } }', emma),
  answers('a default that is overridden', 'query ($i: String! = "2") { book(isbn: $i) { title } }', emma, {
    variables: { i: '1' },
  }),
  answers(
    'an optional variable that is missing is an argument that is missing',
    'query ($n: Int) { author(limit: $n, order_by: {id: asc}) { id } }',
    { author: [{ id: 1 }, { id: 2 }, { id: 3 }] },
  ),
  answers(
    'a whole filter',
    'query ($w: book_bool_exp!) { books(where: $w) { title } }',
    { books: [{ title: 'Emma' }] },
    { variables: { w: { isbn: { _eq: '1' } } }, fact: '5.2 trap 12' },
  ),
  answers(
    'a part of a filter',
    'query ($e: String_comparison_exp!) { books(where: {isbn: $e}) { title } }',
    { books: [{ title: 'Emma' }] },
    { variables: { e: { _in: ['1'] } }, fact: '2.2 names' },
  ),
  answers(
    'a list of values',
    'query ($l: [String!]!) { books(where: {isbn: {_in: $l}}) { title } }',
    { books: [{ title: 'Emma' }] },
    { variables: { l: ['1'] } },
  ),
  answers(
    'one value for a list',
    'query ($l: [String!]!) { books(where: {isbn: {_in: $l}}) { title } }',
    { books: [{ title: 'Emma' }] },
    { variables: { l: '1' }, fact: '2.2 list coercion' },
  ),
  answers(
    'a variable inside a list',
    'query ($i: String!) { books(where: {isbn: {_in: ["9", $i]}}) { title } }',
    { books: [{ title: 'Emma' }] },
    { variables: { i: '1' } },
  ),
  answers(
    'an order',
    'query ($o: [author_order_by!]) { author(order_by: $o) { id } }',
    { author: [{ id: 3 }, { id: 2 }, { id: 1 }] },
    { variables: { o: { id: 'desc' } } },
  ),
  answers(
    'a direction',
    'query ($o: order_by!) { author(order_by: {id: $o}) { id } }',
    { author: [{ id: 3 }, { id: 2 }, { id: 1 }] },
    { variables: { o: 'desc' } },
  ),
  answers(
    'a variable inside jsonb',
    'query ($n: Int!) { sample(where: {data: {_contains: {a: $n}}}) { id } }',
    { sample: [{ id: 1 }] },
    { variables: { n: 1 } },
  ),
  answers(
    'jsonb as a variable',
    'query ($d: jsonb!) { sample(where: {data: {_contains: $d}}) { id } }',
    { sample: [{ id: 1 }] },
    { variables: { d: { a: 1 } } },
  ),
  answers(
    'bigint as text',
    'query ($b: bigint!) { sample(where: {big: {_eq: $b}}) { id } }',
    { sample: [{ id: 1 }] },
    { variables: { b: '4611686018427387903' }, fact: '2.2 number output' },
  ),
  answers(
    'an Int for a Float',
    'query ($r: Float!) { item(where: {weight: {_gte: $r}}) { label } }',
    { item: [{ label: 'globe' }] },
    { variables: { r: 1 } },
  ),
  answers('@include', 'query ($y: Boolean!) { book(isbn: "1") { title isbn @include(if: $y) } }', emma, {
    variables: { y: false },
  }),
  answers('@include that holds', '{ book(isbn: "1") { title @include(if: true) } }', emma),
  answers('@skip', 'query ($y: Boolean!) { book(isbn: "1") { title isbn @skip(if: $y) } }', emma, {
    variables: { y: true },
  }),
  answers(
    '@skip and @include together',
    '{ book(isbn: "1") { title isbn @skip(if: false) @include(if: false) } }',
    emma,
  ),
  answers('@skip of a root field', '{ book(isbn: "1") { title } author @skip(if: true) { id } }', emma),
  answers('@include of a fragment', '{ book(isbn: "1") { title ... @include(if: false) { isbn } } }', emma),
  answers('a fragment', 'fragment F on book { title } { book(isbn: "1") { ...F } }', emma),
  answers(
    'a fragment in a fragment',
    'fragment F on book { ...G } fragment G on book { title } { book(isbn: "1") { ...F } }',
    emma,
  ),
  answers('a fragment on the root', 'fragment R on query_root { book(isbn: "1") { title } } { ...R }', emma),
  answers('an inline fragment', '{ book(isbn: "1") { ... on book { title } } }', emma),
  answers('an inline fragment without a type', '{ book(isbn: "1") { ... { title } } }', emma),
  answers(
    'a fragment twice is once',
    'fragment F on book { title } { book(isbn: "1") { ...F ...F title } }',
    emma,
  ),
  answers('selections of one field are joined', '{ book(isbn: "1") { author { id } author { name } } }', {
    book: { author: { id: 1, name: 'Austen' } },
  }),
  answers('a fragment that nobody uses', 'fragment F on book { title } { book(isbn: "1") { title } }', emma),
  answers(
    'a variable of a fragment',
    'query ($n: Int!) { author_by_pk(id: 1) { ...F } } fragment F on author { books(limit: $n, order_by: {isbn: asc}) { isbn } }',
    { author_by_pk: { books: [{ isbn: '1' }] } },
    { variables: { n: 1 } },
  ),
  answers('introspection of a type', '{ __type(name: "author") { name kind fields { name } } }', {
    __type: {
      name: 'author',
      kind: 'OBJECT',
      fields: ['id', 'name', 'mood', 'born', 'details', 'books', 'books_aggregate'].map((name) => ({ name })),
    },
  }),
  answers('introspection of a type that is not', '{ __type(name: "none") { name } }', { __type: null }),
  answers(
    'names of the roots',
    '{ __schema { queryType { name } mutationType { name } subscriptionType { name } } }',
    {
      __schema: {
        queryType: { name: 'query_root' },
        mutationType: { name: 'mutation_root' },
        subscriptionType: { name: 'subscription_root' },
      },
    },
    { fact: '2.2 names' },
  ),
  answers(
    'the orders',
    '{ __type(name: "order_by") { enumValues { name } } }',
    {
      __type: {
        enumValues: [
          'asc',
          'asc_nulls_first',
          'asc_nulls_last',
          'desc',
          'desc_nulls_first',
          'desc_nulls_last',
        ].map((name) => ({ name })),
      },
    },
    { fact: '2.2 names' },
  ),
  answers(
    'what a conflict clause takes',
    '{ __type(name: "author_on_conflict") { inputFields { name defaultValue } } }',
    {
      __type: {
        inputFields: [
          { name: 'constraint', defaultValue: null },
          { name: 'update_columns', defaultValue: '[]' },
          { name: 'where', defaultValue: null },
        ],
      },
    },
    { fact: '2.2 names' },
  ),
  answers(
    'constraints',
    '{ __type(name: "author_constraint") { enumValues { name } } }',
    { __type: { enumValues: [{ name: 'author_pkey' }, { name: 'author_name_key' }] } },
    { fact: '2.2 names' },
  ),
  answers(
    'what a nested insert takes',
    '{ __type(name: "item_arr_rel_insert_input") { inputFields { name } } }',
    { __type: { inputFields: [{ name: 'data' }, { name: 'on_conflict' }] } },
  ),
  answers(
    'the operator sets of jsonb',
    '{ __type(name: "jsonb_comparison_exp") { inputFields { name } } }',
    {
      __type: {
        inputFields: [
          '_cast',
          '_eq',
          '_neq',
          '_gt',
          '_lt',
          '_gte',
          '_lte',
          '_in',
          '_nin',
          '_is_null',
          '_contains',
          '_contained_in',
          '_has_key',
          '_has_keys_any',
          '_has_keys_all',
        ].map((name) => ({ name })),
      },
    },
    { fact: '2.2 names' },
  ),
  answers('introspection beside data', '{ __schema { queryType { name } } book(isbn: "1") { title } }', {
    __schema: { queryType: { name: 'query_root' } },
    ...emma,
  }),
  refuses('no query language', 'nonsense', 'validation-failed', '$.query'),
  refuses('nothing', '', 'validation-failed', '$.query'),
  refuses('braces that do not match', '{ author { id }', 'validation-failed', '$.query'),
  refuses('an operation that is not there', 'query A { author { id } }', 'validation-failed', '$', {
    operationName: 'B',
  }),
  refuses(
    'several operations and no name',
    'query A { author { id } } query B { author { id } }',
    'validation-failed',
    '$',
  ),
  refuses(
    'a variable that nobody declared',
    '{ author(limit: $n) { id } }',
    'validation-failed',
    '$.selectionSet.author.args.limit',
  ),
  refuses(
    'a variable without a value',
    'query ($i: String!) { book(isbn: $i) { title } }',
    'validation-failed',
    '$',
    { message: "expecting a value for non-nullable variable: 'i'" },
  ),
  refuses(
    'null for a variable that needs a value',
    'query ($i: String!) { book(isbn: $i) { title } }',
    'validation-failed',
    '$.selectionSet.book.args.isbn',
    { variables: { i: null } },
  ),
  refuses(
    'a variable of a wrong type',
    'query ($i: Int!) { book(isbn: $i) { title } }',
    'validation-failed',
    '$.selectionSet.book.args.isbn',
    { variables: { i: 1 }, fact: '5.2 trap 11' },
  ),
  refuses(
    'a variable that may be null where none may',
    'query ($i: String) { book(isbn: $i) { title } }',
    'validation-failed',
    '$.selectionSet.book.args.isbn',
    { variables: { i: '1' }, fact: '5.2 trap 11' },
  ),
  refuses(
    'a String for an enum',
    'query ($c: String!) { curio(where: {colour: {_eq: $c}}) { id } }',
    'validation-failed',
    '$.selectionSet.curio.args.where.colour._eq',
    { variables: { c: 'red' }, fact: '5.2 trap 11' },
  ),
  refuses(
    'a value of a wrong type',
    'query ($n: Int!) { author(limit: $n) { id } }',
    'validation-failed',
    '$.selectionSet.author.args.limit',
    { variables: { n: 'one' } },
  ),
  refuses(
    'a value out of bounds',
    'query ($n: Int!) { author(limit: $n) { id } }',
    'parse-failed',
    '$.selectionSet.author.args.limit',
    { variables: { n: 3000000000 }, fact: '2.1 errors' },
  ),
  refuses(
    'an unknown field deep in a variable',
    'query ($w: book_bool_exp!) { books(where: $w) { title } }',
    'validation-failed',
    '$.selectionSet.books.args.where._and[1].titel',
    { variables: { w: { _and: [{}, { titel: {} }] } }, fact: '5.3 nested paths' },
  ),
  refuses(
    'an unknown operator in a variable',
    'query ($w: author_bool_exp!) { author(where: $w) { id } }',
    'validation-failed',
    '$.selectionSet.author.args.where.id._unexpected',
    { variables: { w: { id: { _unexpected: 1 } } }, fact: '5.3 nested paths' },
  ),
  refuses(
    'an unknown type of variable',
    'query ($w: books_bool_exp!) { books(where: $w) { title } }',
    'validation-failed',
    '$',
    { variables: { w: {} } },
  ),
  refuses('a variable that nobody uses', '{ book(isbn: "1") { title } }', 'validation-failed', '$', {
    variables: { x: 1 },
    message: 'unexpected variables in variableValues: x',
  }),
  refuses('an unknown fragment', '{ author { ...None } }', 'validation-failed', '$.selectionSet.author'),
  refuses(
    'a fragment of another type',
    'fragment F on book { title } { author { ...F } }',
    'validation-failed',
    '$.selectionSet.author',
  ),
  refuses(
    'fragments in a circle',
    'fragment F on author { ...F } { author { ...F } }',
    'validation-failed',
    '$',
  ),
  refuses('an unknown directive', '{ author @upper { id } }', 'validation-failed', '$.selectionSet.author'),
  refuses('too deep', deep(40), 'validation-failed', '$.query', { message: /nested too deeply/, ...bound }),
  refuses('far too deep', deep(5_000), 'validation-failed', '$.query', bound),
  refuses(
    'too many fields',
    `{ ${Array.from({ length: 5_001 }, (_, index) => `a${index}: __typename`).join(' ')} }`,
    'validation-failed',
    '$.query',
    { message: /too many fields/, ...bound },
  ),
  refuses(
    'a bomb of fragments',
    `${Array.from({ length: 24 }, (_, index) => `fragment f${index} on author { a: books { author { ...f${index + 1} } } b: books { author { ...f${index + 1} } } }`).join(' ')} fragment f24 on author { id } { author { ...f0 } }`,
    'validation-failed',
    '$.query',
    { message: /too many fields/, ...bound },
  ),
  refuses(
    'a filter too deep',
    `{ author(where: ${'{_not: '.repeat(150)}{}${'}'.repeat(150)}) { id } }`,
    'validation-failed',
    '$.query',
    { message: /nested too deeply/, ...bound },
  ),
]
