/** `make schema`: writes what the endpoint serves from config/hasura, for `make check` and for people's editors. */
import { writeFileSync } from 'node:fs'

import { introspectFleet, schemaFile, schemaText } from './endpoint-schema.ts'

writeFileSync(schemaFile, schemaText(await introspectFleet()))
