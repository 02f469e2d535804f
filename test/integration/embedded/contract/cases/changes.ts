import type { ContractCase } from '../case.ts'
import { answers, refuses } from '../case.ts'

const state = (shows: string, operator: string, expected: unknown, fact = '2.2 names'): ContractCase =>
  answers(
    shows,
    `mutation { update_item_by_pk(pk_columns: {shelf_id: 2, place: 1}, ${operator}) { state } }`,
    { update_item_by_pk: { state: expected } },
    { fact },
  )

/** Updates, deletes, and several of them as one. */
export const changes: readonly ContractCase[] = [
  answers(
    'sets',
    'mutation { update_author(where: {id: {_eq: 1}}, _set: {name: "Jane", born: null}) { affected_rows returning { name born } } }',
    { update_author: { affected_rows: 1, returning: [{ name: 'Jane', born: null }] } },
    { fact: '2.2 names' },
  ),
  answers(
    'nobody to set',
    'mutation { update_author(where: {id: {_eq: 9}}, _set: {name: "X"}) { affected_rows returning { id } } }',
    { update_author: { affected_rows: 0, returning: [] } },
  ),
  answers(
    'relationships of what was written are read after the write',
    'mutation { a: update_shelf(where: {id: {_eq: 2}}, _set: {code: "Z"}) { returning { parent { shelves(order_by: {id: asc}) { code } } } } b: update_shelf_many(updates: [{where: {id: {_eq: 3}}, _set: {parent_id: 4}}, {where: {id: {_eq: 9}}, _inc: {capacity: 1}}]) { affected_rows returning { parent { shelves { id } } } } c: delete_item_by_pk(shelf_id: 4, place: 1) { label shelf { items_aggregate { aggregate { count } } } } }',
    {
      a: { returning: [{ parent: { shelves: [{ code: 'Z' }, { code: 'A2' }] } }] },
      b: [
        { affected_rows: 1, returning: [{ parent: { shelves: [{ id: 3 }] } }] },
        { affected_rows: 0, returning: [] },
      ],
      c: { label: 'lamp', shelf: { items_aggregate: { aggregate: { count: 0 } } } },
    },
  ),
  answers(
    'sets nothing',
    'mutation { update_author(where: {id: {_eq: 1}}, _set: {}) { affected_rows } }',
    { update_author: { affected_rows: 0 } },
    { fact: '2.2 semantics' },
  ),
  answers(
    'a claim: set and counted down where it is free',
    'mutation { update_shelf(where: {code: {_eq: "B"}, capacity: {_gt: 0}}, _set: {code: "C"}, _inc: {capacity: -1}) { affected_rows returning { code capacity } } }',
    { update_shelf: { affected_rows: 1, returning: [{ code: 'C', capacity: 6 }] } },
    { fact: '2.2 example' },
  ),
  answers(
    'a claim that comes late',
    'mutation { a: update_shelf(where: {id: {_eq: 4}, code: {_eq: "B"}}, _set: {code: "C"}) { affected_rows } b: update_shelf(where: {id: {_eq: 4}, code: {_eq: "B"}}, _set: {code: "D"}) { affected_rows } }',
    { a: { affected_rows: 1 }, b: { affected_rows: 0 } },
    { fact: '2.2 example' },
  ),
  answers(
    'increments a bigint',
    'mutation { update_sample(where: {id: {_eq: 2}}, _inc: {big: "1000000000000000000"}) { returning { big } } }',
    { update_sample: { returning: [{ big: Number('1000000000000000005') }] } },
    { holds: ['1000000000000000005'], fact: '2.2 names' },
  ),
  answers(
    'increments a null to null',
    'mutation { update_sample(where: {id: {_eq: 3}}, _inc: {big: 1}) { returning { big } } }',
    { update_sample: { returning: [{ big: null }] } },
  ),
  answers(
    'increments several',
    'mutation { update_sample_by_pk(pk_columns: {id: 2}, _inc: {small: 2, exact: "0.5", double: -1}) { small exact double } }',
    { update_sample_by_pk: { small: 3, exact: 20.5, double: 9999999999 } },
  ),
  state('appends', '_append: {state: {n: 2}}', { a: 1, list: [1, 2, 3], o: { p: 'q' }, n: 2 }),
  state('append overrides', '_append: {state: {a: 2}}', { a: 2, list: [1, 2, 3], o: { p: 'q' } }),
  state('prepend does not override', '_prepend: {state: {a: 2, n: 2}}', {
    a: 1,
    list: [1, 2, 3],
    o: { p: 'q' },
    n: 2,
  }),
  state('deletes a key', '_delete_key: {state: "a"}', { list: [1, 2, 3], o: { p: 'q' } }),
  state('deletes at a path', '_delete_at_path: {state: ["o", "p"]}', { a: 1, list: [1, 2, 3], o: {} }),
  state('deletes an element at a path', '_delete_at_path: {state: ["list", "0"]}', {
    a: 1,
    list: [2, 3],
    o: { p: 'q' },
  }),
  answers(
    'deletes an element',
    'mutation { a: update_item_by_pk(pk_columns: {shelf_id: 2, place: 2}, _set: {state: [1, 2, 3]}) { state } b: update_item_by_pk(pk_columns: {shelf_id: 2, place: 2}, _delete_elem: {state: -1}) { state } }',
    { a: { state: [1, 2, 3] }, b: { state: [1, 2] } },
    { fact: '2.2 names' },
  ),
  answers(
    'by key',
    'mutation { update_author_by_pk(pk_columns: {id: 1}, _set: {name: "Jane"}) { name books(order_by: {isbn: asc}) { isbn } } }',
    { update_author_by_pk: { name: 'Jane', books: [{ isbn: '1' }, { isbn: '2' }] } },
    { fact: '2.2 names' },
  ),
  answers(
    'by a key that is not there',
    'mutation { update_author_by_pk(pk_columns: {id: 9}, _set: {name: "Jane"}) { name } }',
    { update_author_by_pk: null },
    { fact: '2.2 semantics' },
  ),
  answers(
    'through a relationship in the filter',
    'mutation { update_books: update_book(where: {author: {name: {_eq: "Austen"}}}, _inc: {pageCount: 1}) { affected_rows } }',
    { update_books: { affected_rows: 2 } },
  ),
  answers(
    'many',
    'mutation { update_author_many(updates: [{where: {id: {_eq: 1}}, _set: {mood: sad}}, {where: {id: {_gt: 1}}, _set: {mood: happy}}]) { affected_rows returning { id } } }',
    {
      update_author_many: [
        { affected_rows: 1, returning: [{ id: 1 }] },
        { affected_rows: 2, returning: [{ id: 2 }, { id: 3 }] },
      ],
    },
    { fact: '2.2 names' },
  ),
  answers(
    'many, the later seeing the earlier',
    'mutation { update_author_many(updates: [{where: {id: {_eq: 3}}, _set: {name: "X"}}, {where: {name: {_eq: "X"}}, _set: {name: "Y"}}]) { affected_rows } }',
    { update_author_many: [{ affected_rows: 1 }, { affected_rows: 1 }] },
  ),
  answers('many of none', 'mutation { update_author_many(updates: []) { affected_rows } }', {
    update_author_many: [],
  }),
  answers(
    'the operators as variables',
    'mutation ($s: author_set_input, $k: author_pk_columns_input!) { update_author_by_pk(pk_columns: $k, _set: $s) { name } }',
    { update_author_by_pk: { name: 'V' } },
    { variables: { s: { name: 'V' }, k: { id: 1 } }, fact: '5.2 trap 12' },
  ),
  answers(
    'an array and an enum',
    'mutation { update_curio(where: {colour: {_eq: red}}, _set: {colour: green, colours: [], numbers: [4]}) { returning { colour colours numbers } } }',
    { update_curio: { returning: [{ colour: 'green', colours: [], numbers: [4] }] } },
  ),
  answers(
    'deletes',
    'mutation { delete_shop_loan(where: {isbn: {_eq: "1"}}) { affected_rows returning { copy } } }',
    { delete_shop_loan: { affected_rows: 2, returning: [{ copy: 1 }, { copy: 2 }] } },
    { fact: '2.2 names' },
  ),
  answers('deletes nothing', 'mutation { delete_shop_loan(where: {isbn: {_eq: "9"}}) { affected_rows } }', {
    delete_shop_loan: { affected_rows: 0 },
  }),
  answers(
    'deletes everything',
    'mutation { delete_shop_loan(where: {}) { affected_rows } }',
    { delete_shop_loan: { affected_rows: 3 } },
    { fact: '2.2 semantics' },
  ),
  answers(
    'deletes by key',
    'mutation { delete_item_by_pk(shelf_id: 2, place: 1) { label shelf { code } } }',
    { delete_item_by_pk: { label: 'globe', shelf: { code: 'A1' } } },
    { fact: '2.2 names' },
  ),
  answers(
    'deletes no such key',
    'mutation { delete_author_by_pk(id: 9) { id } }',
    { delete_author_by_pk: null },
    { fact: '2.2 semantics' },
  ),
  answers(
    'several in order, as one',
    'mutation { a: insert_author_one(object: {id: 9, name: "N"}) { id } b: update_author(where: {id: {_eq: 9}}, _set: {name: "M"}) { returning { name } } c: delete_author_by_pk(id: 9) { name } }',
    { a: { id: 9 }, b: { returning: [{ name: 'M' }] }, c: { name: 'M' } },
    { fact: '2.2 one transaction' },
  ),
  answers('only the name of the root', 'mutation { __typename }', { __typename: 'mutation_root' }),
  answers(
    'the name of a response',
    'mutation { delete_shop_loan(where: {isbn: {_eq: "9"}}) { __typename } }',
    { delete_shop_loan: { __typename: 'shop_loan_mutation_response' } },
    { fact: '2.2 names' },
  ),
  refuses(
    'the later fails, and nothing is left',
    'mutation { a: insert_author_one(object: {id: 9, name: "N"}) { id } b: insert_author_one(object: {id: 9, name: "O"}) { id } }',
    'constraint-violation',
    '$.selectionSet.b.args.object',
    { fact: '2.2 one transaction' },
  ),
  refuses(
    'no operator',
    'mutation { update_author(where: {}) { affected_rows } }',
    'validation-failed',
    '$.selectionSet.update_author.args',
    { message: /^at least any one of/, fact: '2.1 errors' },
  ),
  refuses(
    'no operator by key',
    'mutation { update_author_by_pk(pk_columns: {id: 1}) { id } }',
    'validation-failed',
    '$.selectionSet.update_author_by_pk.args',
    { fact: '2.1 errors' },
  ),
  refuses(
    'one column in two operators',
    'mutation { update_shelf(where: {}, _set: {capacity: 1}, _inc: {capacity: 1}) { affected_rows } }',
    'validation-failed',
    '$.selectionSet.update_shelf.args',
    { fact: '2.2 semantics' },
  ),
  refuses(
    'an update without a filter',
    'mutation { update_author(_set: {mood: sad}) { affected_rows } }',
    'validation-failed',
    '$.selectionSet.update_author.args.where',
    { fact: '2.2 names' },
  ),
  refuses(
    'a delete without a filter',
    'mutation { delete_author { affected_rows } }',
    'validation-failed',
    '$.selectionSet.delete_author.args.where',
    { fact: '2.2 names' },
  ),
  refuses(
    'a null for what may not be null',
    'mutation { update_author(where: {id: {_eq: 1}}, _set: {name: null}) { affected_rows } }',
    'constraint-violation',
    '$',
    { fact: '2.1 errors' },
  ),
  refuses(
    'a check',
    'mutation { update_shelf(where: {}, _set: {capacity: -1}) { affected_rows } }',
    'permission-error',
    '$',
    { message: /^Check constraint violation\. /, fact: '2.1 errors' },
  ),
  refuses(
    'rows that others refer to',
    'mutation { delete_author(where: {id: {_eq: 1}}) { affected_rows } }',
    'constraint-violation',
    '$',
    { message: /(on table "author" violates|data being referred)/, fact: '2.1 errors' },
  ),
  refuses(
    'an increment of text',
    'mutation { update_author(where: {}, _inc: {name: 1}) { affected_rows } }',
    'validation-failed',
    '$.selectionSet.update_author.args._inc.name',
  ),
  refuses(
    'an increment out of bounds',
    'mutation { update_shelf(where: {}, _inc: {capacity: 2147483647}) { affected_rows } }',
    'data-exception',
    '$',
    { fact: '2.1 errors' },
  ),
  refuses(
    'a mutation of nothing known',
    'mutation { update_film(where: {}) { affected_rows } }',
    'validation-failed',
    '$.selectionSet.update_film',
    { fact: '2.1 errors' },
  ),
]
