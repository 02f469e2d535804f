/** Part of `make check`: holds every document that the daemon sends against config/hasura/schema.graphql. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { buildSchema, parse, validate } from 'graphql'

import { documents, functionCall, functionNames, rowsByKey } from '../../src/hasura/documents.ts'
import { mirroredTables } from '../../src/store/fleet-store.ts'
import { trustDocuments } from '../../src/hasura/trust-documents.ts'

const path = join(import.meta.dirname, '../../config/hasura/schema.graphql')
const schema = buildSchema(readFileSync(path, 'utf8'))
const all = [
  ...Object.entries(documents),
  ...Object.entries(trustDocuments),
  ...functionNames.map((name) => [name, functionCall(name)] as const),
  ['rowsByKey', rowsByKey(mirroredTables)] as const,
]
const faults = all.flatMap(([name, text]) =>
  validate(schema, parse(text)).map(({ message }) => `${name}: ${message}\n`),
)
if (faults.length > 0) {
  process.stderr.write(
    `Documents of src/hasura do not fit config/hasura/schema.graphql (make schema):\n${faults.join('')}`,
  )
  process.exit(1)
}
