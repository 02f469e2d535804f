/** What every case finds; a case that writes finds it anew. */
export const seed = {
  query: `mutation (
    $authors: [author_insert_input!]!, $books: [book_insert_input!]!, $loans: [shop_loan_insert_input!]!
    $shelves: [shelf_insert_input!]!, $items: [item_insert_input!]!, $cards: [card_insert_input!]!
    $samples: [sample_insert_input!]!, $curios: [curio_insert_input!]!, $readers: [reader_insert_input!]!
  ) {
    delete_shop_loan(where: {}) { affected_rows }
    delete_book(where: {}) { affected_rows }
    delete_author(where: {}) { affected_rows }
    delete_sample(where: {}) { affected_rows }
    delete_curio(where: {}) { affected_rows }
    delete_shelf(where: {}) { affected_rows }
    delete_reader(where: {}) { affected_rows }
    insert_author(objects: $authors) { affected_rows }
    insert_book(objects: $books) { affected_rows }
    insert_shop_loan(objects: $loans) { affected_rows }
    insert_shelf(objects: $shelves) { affected_rows }
    insert_item(objects: $items) { affected_rows }
    insert_card(objects: $cards) { affected_rows }
    insert_sample(objects: $samples) { affected_rows }
    insert_curio(objects: $curios) { affected_rows }
    insert_reader(objects: $readers) { affected_rows }
  }`,
  variables: {
    authors: [
      { id: 1, name: 'Austen', born: '1775-12-16', details: { awards: ['none'], n: 1 } },
      { id: 2, name: 'Herbert', mood: 'sad', born: '1920-10-08' },
      { id: 3, name: 'Homer' },
    ],
    books: [
      { isbn: '1', author_id: 1, title: 'Emma', pageCount: 474, price: 9.5, tags: [] },
      { isbn: '2', author_id: 1, title: 'Persuasion', pageCount: 249, price: '7.25', tags: ['sea'] },
      { isbn: '3', author_id: 2, title: 'Dune', pageCount: 604, tags: ['sand', 'desert'] },
      { isbn: '4', title: 'Beowulf', pageCount: 110, label: 'old', tags: [] },
    ],
    loans: [
      { isbn: '1', copy: 1, reader: 'ann' },
      { isbn: '1', copy: 2 },
      { isbn: '3', copy: 1, reader: 'bob' },
    ],
    shelves: [
      { id: 1, code: 'A', parent_id: null, capacity: 10 },
      { id: 2, code: 'A1', parent_id: 1, capacity: 5 },
      { id: 3, code: 'A2', parent_id: 1, capacity: 0 },
      { id: 4, code: 'B', parent_id: null, capacity: 7 },
    ],
    items: [
      { shelf_id: 2, place: 1, label: 'globe', weight: 1.5, state: { a: 1, list: [1, 2, 3], o: { p: 'q' } } },
      { shelf_id: 2, place: 2, label: 'map', weight: 0.25, state: {} },
      { shelf_id: 4, place: 1, label: 'lamp', weight: null, state: { b: { c: true } } },
    ],
    readers: [
      { id: 1, first_name: 'ann', last_name: 'Lee', genre: 'verse', grade: 'gold', points: 30 },
      { id: 2, first_name: 'bob', genre: 'prose', points: 7 },
      { id: 3, first_name: 'cleo', last_name: 'Day', genre: 'verse', grade: 'basic', points: 12 },
    ],
    cards: [{ id: 1, shelf_id: 4, words: 'Lamps' }],
    samples: [
      {
        id: 1,
        big: '4611686018427387903',
        small: 7,
        exact: '1.234',
        double: 0.5,
        flag: true,
        at: '2015-10-17T14:42:43Z',
        day: '2020-01-02',
        address: '198.24.10.0',
        unique_id: 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
        data: { a: 1, b: [1, 2, { c: 'd' }], n: null },
        raw: { z: 1 },
        words: ['x', 'y'],
        numbers: ['1', '9007199254740993'],
        select: 'from',
      },
      {
        id: 2,
        big: 5,
        small: 1,
        exact: 20,
        double: 1e10,
        flag: false,
        at: '2020-01-01T00:00:00.123456+02:00',
        address: '10.0.0.1',
        data: { b: 2, k: 'v' },
        words: [],
      },
      { id: 3, big: null, small: null },
    ],
    curios: [
      {
        id: '00000000-0000-0000-0000-000000000001',
        colour: 'red',
        colours: ['red', 'blue'],
        cost: '12345.67',
        lasts: '1:03:02',
        at_hour: '12:30:00',
        stamp: '2020-01-02T03:04:05',
        net: '10.0.0.0/8',
        mac: '08:00:2b:01:02:03',
        code: 'ab',
        short: 'short',
        ratio: 1.5,
        numbers: [1, 2, 3],
        flags: [true, false],
        grid: 3.1,
        span: '[1,5)',
        bits: '\\xdead',
        tags: { k: [1] },
      },
      { id: '00000000-0000-0000-0000-000000000002', colour: 'blue', cost: null },
    ],
  },
}
