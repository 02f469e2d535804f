import { aggregates } from './cases/aggregates.ts'
import { changes } from './cases/changes.ts'
import { documents } from './cases/documents.ts'
import { functions } from './cases/functions.ts'
import { inserts } from './cases/inserts.ts'
import { operators } from './cases/operators.ts'
import { selections } from './cases/selections.ts'
import { values } from './cases/values.ts'

/** All cases that start from the seed, by subject. */
export const groups = { operators, selections, documents, aggregates, functions, values, inserts, changes }
