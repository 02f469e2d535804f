import type { ContractCase } from '../case.ts'
import { answers, refuses } from '../case.ts'

const affected = (count: number) => ({ affected_rows: count })

export const inserts: readonly ContractCase[] = [
  answers(
    'rows',
    'mutation { insert_author(objects: [{id: 8, name: "X"}, {id: 9, name: "Y"}]) { affected_rows returning { id name mood details } } }',
    {
      insert_author: {
        affected_rows: 2,
        returning: [
          { id: 8, name: 'X', mood: 'happy', details: {} },
          { id: 9, name: 'Y', mood: 'happy', details: {} },
        ],
      },
    },
    { fact: '2.2 names' },
  ),
  answers(
    'one object where a list is expected',
    'mutation { insert_author(objects: {id: 8, name: "X"}) { affected_rows } }',
    { insert_author: affected(1) },
    { fact: '2.2 list coercion' },
  ),
  answers('no objects', 'mutation { insert_author(objects: []) { affected_rows returning { id } } }', {
    insert_author: { affected_rows: 0, returning: [] },
  }),
  answers(
    'objects of different columns',
    'mutation { insert_author(objects: [{id: 8, name: "X", mood: sad}, {id: 9, name: "Y"}]) { returning { mood } } }',
    { insert_author: { returning: [{ mood: 'sad' }, { mood: 'happy' }] } },
  ),
  answers(
    'null is not the default',
    'mutation { insert_sample_one(object: {id: 9, words: null}) { words } }',
    { insert_sample_one: { words: null } },
  ),
  answers(
    'one',
    'mutation { insert_author_one(object: {id: 9, name: "Y"}) { id name } }',
    { insert_author_one: { id: 9, name: 'Y' } },
    { fact: '2.2 names' },
  ),
  answers('nothing but defaults', 'mutation { insert_curio_one(object: {}) { colour numbers } }', {
    insert_curio_one: { colour: null, numbers: null },
  }),
  answers(
    'objects as a variable',
    'mutation ($o: [author_insert_input!]!) { insert_author(objects: $o) { returning { id } } }',
    { insert_author: { returning: [{ id: 9 }] } },
    { variables: { o: [{ id: 9, name: 'Y' }] }, fact: '5.2 trap 12' },
  ),
  answers(
    'nested, and only what was written is asked back',
    'mutation { insert_shelf(objects: [{code: "N", parent: {data: {code: "M"}}}]) { returning { code parent { code } } } }',
    { insert_shelf: { returning: [{ code: 'N', parent: { code: 'M' } }] } },
  ),
  answers(
    'returning through relationships',
    'mutation { insert_books: insert_book(objects: [{isbn: "9", author_id: 1, title: "Z", pageCount: 1}]) { returning { author { name books_aggregate { aggregate { count } } } } } }',
    {
      insert_books: {
        returning: [{ author: { name: 'Austen', books_aggregate: { aggregate: { count: 3 } } } }],
      },
    },
  ),
  answers(
    'enums, arrays and jsonb',
    'mutation { insert_curio_one(object: {colour: green, colours: ["red"], numbers: [1, 2], tags: {a: [null]}, cost: "3.5", lasts: "1 day"}) { colour colours numbers tags cost lasts } }',
    {
      insert_curio_one: {
        colour: 'green',
        colours: ['red'],
        numbers: [1, 2],
        tags: { a: [null] },
        cost: '$3.50',
        lasts: '1 day',
      },
    },
  ),
  answers(
    'into a view that takes rows',
    'mutation { insert_open_shelf_one(object: {code: "Z", capacity: 3}) { code capacity } }',
    { insert_open_shelf_one: { code: 'Z', capacity: 3 } },
  ),
  answers(
    'a conflict updates',
    'mutation { insert_author(objects: [{id: 1, name: "Jane"}], on_conflict: {constraint: author_pkey, update_columns: [name]}) { affected_rows returning { id name born } } }',
    { insert_author: { affected_rows: 1, returning: [{ id: 1, name: 'Jane', born: '1775-12-16' }] } },
    { fact: '5.2 trap 15' },
  ),
  answers(
    'a conflict does nothing',
    'mutation { insert_author(objects: [{id: 1, name: "Jane"}, {id: 9, name: "New"}], on_conflict: {constraint: author_pkey, update_columns: []}) { affected_rows returning { id } } }',
    { insert_author: { affected_rows: 1, returning: [{ id: 9 }] } },
    { fact: '2.2 semantics' },
  ),
  answers(
    'a conflict does nothing to the one',
    'mutation { insert_author_one(object: {id: 1, name: "Jane"}, on_conflict: {constraint: author_pkey, update_columns: []}) { id } }',
    { insert_author_one: null },
    { fact: '2.2 semantics' },
  ),
  answers(
    'no columns to update by default',
    'mutation { insert_author_one(object: {id: 1, name: "Jane"}, on_conflict: {constraint: author_pkey}) { id } }',
    { insert_author_one: null },
    { fact: '2.2 names' },
  ),
  answers(
    'a conflict updates where',
    'mutation { insert_author(objects: [{id: 1, name: "J"}, {id: 2, name: "H"}], on_conflict: {constraint: author_pkey, update_columns: [name], where: {mood: {_eq: "sad"}}}) { affected_rows returning { id } } }',
    { insert_author: { affected_rows: 1, returning: [{ id: 2 }] } },
    { fact: '2.2 names' },
  ),
  answers(
    'a conflict of another constraint',
    'mutation { insert_author_one(object: {id: 9, name: "Austen", mood: sad}, on_conflict: {constraint: author_name_key, update_columns: mood}) { id mood } }',
    { insert_author_one: { id: 1, mood: 'sad' } },
  ),
  answers(
    'a composite key in conflict',
    'mutation { insert_item_one(object: {shelf_id: 2, place: 1, label: "ball"}, on_conflict: {constraint: item_pkey, update_columns: [label]}) { label weight } }',
    { insert_item_one: { label: 'ball', weight: 1.5 } },
  ),
  answers(
    'with its list',
    'mutation { insert_shelf_one(object: {code: "N", items: {data: [{place: 1, label: "a"}, {place: 2, label: "b"}]}}) { code items(order_by: {place: asc}) { label } } }',
    { insert_shelf_one: { code: 'N', items: [{ label: 'a' }, { label: 'b' }] } },
    { fact: '5.3 nested inserts' },
  ),
  answers(
    'counts rows of all tables',
    'mutation { insert_shelf(objects: [{code: "N", items: {data: [{place: 1, label: "a"}, {place: 2, label: "b"}]}}, {code: "O"}]) { affected_rows returning { code } } }',
    { insert_shelf: { affected_rows: 4, returning: [{ code: 'N' }, { code: 'O' }] } },
    { fact: '5.3 nested inserts' },
  ),
  answers(
    'with the object that it refers to',
    'mutation { insert_item(objects: [{place: 1, label: "a", shelf: {data: {code: "N"}}}]) { affected_rows returning { label shelf { code } } } }',
    { insert_item: { affected_rows: 2, returning: [{ label: 'a', shelf: { code: 'N' } }] } },
    { fact: '5.3 nested inserts' },
  ),
  answers(
    'with the object that refers to it',
    'mutation { insert_shelf_one(object: {code: "N", card: {data: {words: "new"}}}) { card { words } } }',
    { insert_shelf_one: { card: { words: 'new' } } },
  ),
  answers(
    'both ways and three levels',
    'mutation { insert_shelf(objects: [{code: "N2", parent: {data: {code: "N1", parent: {data: {code: "N0"}}}}, shelves: {data: [{code: "N3", items: {data: {place: 1, label: "deep"}}}]}}]) { affected_rows returning { code parent { code parent { code } } shelves { code items { label } } } } }',
    {
      insert_shelf: {
        affected_rows: 5,
        returning: [
          {
            code: 'N2',
            parent: { code: 'N1', parent: { code: 'N0' } },
            shelves: [{ code: 'N3', items: [{ label: 'deep' }] }],
          },
        ],
      },
    },
  ),
  answers(
    'an empty list inside',
    'mutation { insert_shelf(objects: [{code: "N", items: {data: []}}]) { affected_rows } }',
    { insert_shelf: affected(1) },
  ),
  answers(
    'null for nothing inside',
    'mutation ($i: item_arr_rel_insert_input) { insert_shelf(objects: [{code: "N", items: $i}]) { affected_rows } }',
    { insert_shelf: affected(1) },
    { variables: { i: null } },
  ),
  answers(
    'nested values as a variable',
    'mutation ($o: shelf_insert_input!) { insert_shelf_one(object: $o) { items { label state } } }',
    { insert_shelf_one: { items: [{ label: 'a', state: { x: [1] } }] } },
    { variables: { o: { code: 'N', items: { data: [{ place: 1, label: 'a', state: { x: [1] } }] } } } },
  ),
  answers(
    'a conflict of the object inside is resolved, and its key taken',
    'mutation { insert_item_one(object: {place: 9, label: "a", shelf: {data: {code: "B"}, on_conflict: {constraint: shelf_code_key, update_columns: [code]}}}) { shelf_id shelf { code } } }',
    { insert_item_one: { shelf_id: 4, shelf: { code: 'B' } } },
  ),
  answers(
    'a conflict inside a list',
    'mutation { insert_shelf(objects: [{id: 4, code: "B", items: {data: [{place: 1, label: "torch"}, {place: 2, label: "wick"}], on_conflict: {constraint: item_pkey, update_columns: [label]}}}], on_conflict: {constraint: shelf_pkey, update_columns: [code]}) { affected_rows returning { items(order_by: {place: asc}) { label } } } }',
    { insert_shelf: { affected_rows: 3, returning: [{ items: [{ label: 'torch' }, { label: 'wick' }] }] } },
  ),
  refuses(
    'a column that its parent gives',
    'mutation { insert_shelf(objects: [{code: "N", items: {data: [{shelf_id: 1, place: 1, label: "a"}]}}]) { affected_rows } }',
    'validation-failed',
    '$.selectionSet.insert_shelf.args.objects[0].items.data[0]',
    {
      message:
        'cannot insert "shelf_id" columns as their values are already being determined by parent insert',
    },
  ),
  refuses(
    'an object and its key',
    'mutation { insert_item(objects: [{shelf_id: 1, place: 1, label: "a", shelf: {data: {code: "N"}}}]) { affected_rows } }',
    'validation-failed',
    '$.selectionSet.insert_item.args.objects[0].shelf',
    {
      message: 'cannot insert object relationship "shelf" as "shelf_id" column values are already determined',
    },
  ),
  refuses(
    'an object inside that is not written',
    'mutation { insert_item_one(object: {place: 9, label: "a", shelf: {data: {code: "B"}, on_conflict: {constraint: shelf_code_key, update_columns: []}}}) { place } }',
    'not-supported',
    '$.selectionSet.insert_item_one.args.object.shelf',
    { message: /affects zero rows/ },
  ),
  refuses(
    'a parent that is not written',
    'mutation { insert_shelf_one(object: {code: "B", items: {data: [{place: 7, label: "a"}]}}, on_conflict: {constraint: shelf_code_key}) { id } }',
    'not-supported',
    '$.selectionSet.insert_shelf_one.args.object',
    { message: /affects zero rows/ },
  ),
  refuses(
    'a violation inside',
    'mutation { insert_shelf(objects: [{code: "N", items: {data: [{place: 1, label: "a"}, {place: 1, label: "b"}]}}]) { affected_rows } }',
    'constraint-violation',
    '$.selectionSet.insert_shelf.args.objects[0].items.data',
  ),
  refuses(
    'the same value again',
    'mutation { insert_author(objects: [{id: 9, name: "Austen"}]) { affected_rows } }',
    'constraint-violation',
    '$.selectionSet.insert_author.args.objects',
    {
      message: 'Uniqueness violation. duplicate key value violates unique constraint "author_name_key"',
      fact: '2.1 errors',
    },
  ),
  refuses(
    'the same value again, of one',
    'mutation { insert_author_one(object: {id: 1, name: "New"}) { id } }',
    'constraint-violation',
    '$.selectionSet.insert_author_one.args.object',
    { fact: '2.1 errors' },
  ),
  refuses(
    'a null that may not be',
    'mutation { insert_author(objects: [{id: 9}]) { affected_rows } }',
    'constraint-violation',
    '$.selectionSet.insert_author.args.objects',
    { message: /^Not-NULL violation\. /, fact: '2.1 errors' },
  ),
  refuses(
    'nobody is referred to',
    'mutation { insert_item(objects: [{shelf_id: 99, place: 1, label: "a"}]) { affected_rows } }',
    'constraint-violation',
    '$.selectionSet.insert_item.args.objects',
    { message: /^Foreign key violation\. /, fact: '2.1 errors' },
  ),
  refuses(
    'a check that fails',
    'mutation { insert_shelf(objects: [{code: "N", capacity: -1}]) { affected_rows } }',
    'permission-error',
    '$.selectionSet.insert_shelf.args.objects',
    { message: /^Check constraint violation\. /, fact: '2.1 errors' },
  ),
  refuses(
    'an Int out of bounds',
    'mutation { insert_author(objects: [{id: 2147483648, name: "N"}]) { affected_rows } }',
    'parse-failed',
    '$.selectionSet.insert_author.args.objects[0].id',
    { message: /^The value 2.147483648e9 lies outside the bounds or is not an integer/, fact: '2.1 errors' },
  ),
  refuses(
    'a smallint out of bounds',
    'mutation { insert_sample_one(object: {small: 40000}) { id } }',
    'data-exception',
    '$.selectionSet.insert_sample_one.args.object',
    { fact: '2.1 errors' },
  ),
  refuses(
    'a text too long',
    'mutation { insert_curio_one(object: {short: "far too long"}) { id } }',
    'data-exception',
    '$.selectionSet.insert_curio_one.args.object',
    { fact: '2.1 errors' },
  ),
  refuses(
    'no objects at all',
    'mutation { insert_author { affected_rows } }',
    'validation-failed',
    '$.selectionSet.insert_author.args.objects',
    { fact: '2.1 errors' },
  ),
  refuses(
    'an unknown column',
    'mutation { insert_author(objects: [{id: 9, nmae: "N"}]) { affected_rows } }',
    'validation-failed',
    '$.selectionSet.insert_author.args.objects[0].nmae',
    { fact: '2.1 errors' },
  ),
  refuses(
    'an unknown column in a variable',
    'mutation ($o: [author_insert_input!]!) { insert_author(objects: $o) { affected_rows } }',
    'validation-failed',
    '$.selectionSet.insert_author.args.objects[1].nmae',
    { variables: { o: [{ id: 8 }, { id: 9, nmae: 'N' }] }, fact: '5.3 nested paths' },
  ),
  refuses(
    'an Int out of bounds in a variable',
    'mutation ($o: [author_insert_input!]!) { insert_author(objects: $o) { affected_rows } }',
    'parse-failed',
    '$.selectionSet.insert_author.args.objects[0].id',
    { variables: { o: [{ id: 2147483648, name: 'N' }] }, fact: '2.1 errors' },
  ),
  refuses(
    'a generated column',
    'mutation { insert_sample_one(object: {doubled: 1}) { id } }',
    'validation-failed',
    '$.selectionSet.insert_sample_one.args.object.doubled',
  ),
  refuses(
    'an unknown constraint',
    'mutation { insert_author(objects: [], on_conflict: {constraint: none, update_columns: []}) { affected_rows } }',
    'validation-failed',
    '$.selectionSet.insert_author.args.on_conflict.constraint',
  ),
  refuses(
    'a view that takes none',
    'mutation { insert_full_shelf(objects: []) { affected_rows } }',
    'validation-failed',
    '$.selectionSet.insert_full_shelf',
  ),
]
