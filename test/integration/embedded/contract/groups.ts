import { aggregates } from './cases/aggregates.ts'
import { changes } from './cases/changes.ts'
import { computedFields } from './cases/computed-fields.ts'
import { documents } from './cases/documents.ts'
import { enums } from './cases/enums.ts'
import { functions } from './cases/functions.ts'
import { inserts } from './cases/inserts.ts'
import { operators } from './cases/operators.ts'
import { selections } from './cases/selections.ts'
import { values } from './cases/values.ts'

/** All cases that start from the seed, by subject. */
export const groups = {
  operators,
  selections,
  documents,
  aggregates,
  functions,
  enums,
  'computed fields': computedFields,
  values,
  inserts,
  changes,
}
