import { expect } from 'vitest'

import type { AnEndpoint } from './an-endpoint.ts'

/** Two authors, three books of theirs and one of nobody's. */
export async function fillLibrary(library: AnEndpoint): Promise<void> {
  const { errors } = await library.ask(
    `mutation ($books: [book_insert_input!]!) {
      insert_author(objects: [
        {id: 1, name: "Austen", born: "1775-12-16", details: {awards: ["none"], n: 9007199254740993}}
        {id: 2, name: "Herbert", mood: sad}
      ]) { affected_rows }
      insert_book(objects: $books) { affected_rows }
    }`,
    {
      books: [
        { isbn: '1', author_id: 1, title: 'Emma', pageCount: 474, price: 9.5 },
        { isbn: '2', author_id: 1, title: 'Persuasion', pageCount: 249, price: '7.25' },
        { isbn: '3', author_id: 2, title: 'Dune', pageCount: 604, tags: ['sand', 'desert'] },
        { isbn: '4', title: 'Beowulf', pageCount: 110 },
      ],
    },
  )
  expect(errors).toBeUndefined()
}

export async function emptyLibrary(library: AnEndpoint): Promise<void> {
  const { errors } = await library.ask(`mutation {
    delete_shop_loan(where: {}) { affected_rows }
    delete_book(where: {}) { affected_rows }
    delete_author(where: {}) { affected_rows }
    delete_sample(where: {}) { affected_rows }
  }`)
  expect(errors).toBeUndefined()
}
