import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { AnEndpoint } from '../../support/an-endpoint.ts'
import { anEndpoint, databaseKinds } from '../../support/an-endpoint.ts'
import { emptyLibrary } from '../../support/library.ts'

/** Values that an array's text form must quote, and a character that PostgreSQL takes in no text. */
const titles = ['plain', '', 'NULL', 'a,b', '{x}', '"q"', 'back\\slash', "it's", 'ü', ' space ']
const refused = 'a\0b'

describe.each(databaseKinds)('reads of one row that many ask for at once, on %s', (kind) => {
  let library: AnEndpoint
  beforeAll(async () => {
    library = await anEndpoint(kind)
    await emptyLibrary(library)
    const objects = titles.map((title) => ({ isbn: `isbn ${title}`, title, pageCount: 1 }))
    const inserted = await library.ask(
      'mutation ($objects: [book_insert_input!]!) { insert_book(objects: $objects) { affected_rows } }',
      { objects },
    )
    expect(inserted).toEqual({ data: { insert_book: { affected_rows: titles.length } } })
  })
  afterAll(() => library.close())

  it('gives each its own, whatever the others ask', async () => {
    const wanted = Array.from({ length: 200 }, (_, index) => {
      const place = index % (titles.length + 2)
      return titles[place] ?? (place === titles.length ? 'missing' : refused)
    })
    const answers = await Promise.all(
      wanted.map((title) =>
        library.ask('query ($isbn: String!) { book(isbn: $isbn) { isbn title } }', {
          isbn: `isbn ${title}`,
        }),
      ),
    )
    answers.forEach((answer, index) => {
      const title = wanted[index] ?? ''
      if (title === refused) expect(answer.errors).toHaveLength(1)
      else {
        const row = title === 'missing' ? null : { isbn: `isbn ${title}`, title }
        expect(answer.data).toEqual({ book: row })
      }
    })
  })
})
