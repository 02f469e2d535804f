/** Every role's schema and executor, built when the role first asks and kept: there are as many as the metadata names. */
import type { Database } from '../database/database.ts'
import { createExecutor } from '../execution/executor.ts'
import type { Session } from '../execution/session.ts'
import { adminRole } from '../execution/session.ts'
import type { Project } from '../project/metadata.ts'
import type { Api } from '../schema/api-model.ts'
import { buildSchema } from '../schema/build-schema.ts'
import { buildRoleApi, rolesOf } from '../schema/role-api.ts'
import type { Role } from './graphql-service.ts'

export interface RolesOptions {
  readonly project: Project
  /** The administrator's. */
  readonly api: Api
  readonly database: Database
  readonly stringifyNumerics: boolean
}

/** @throws MusterError `config-invalid` for permissions that do not fit */
export function createRoles(options: RolesOptions): (session: Session) => Role {
  const { project, api, database, stringifyNumerics } = options
  const apis = new Map<string, Api>([[adminRole, api]])
  for (const role of rolesOf(project)) {
    if (role === adminRole) continue
    for (const isBackend of [false, true]) {
      apis.set(keyOf({ role, isBackend }), buildRoleApi(project, api, { role, isBackend }))
    }
  }
  const build = (of: Api): Role => {
    const roleSchema = buildSchema(of)
    return { roleSchema, executor: createExecutor({ database, roleSchema, stringifyNumerics }) }
  }
  const built = new Map([[adminRole, build(api)]])
  // All that the metadata does not know are one: names that clients think of take no memory.
  let nobody: Role | undefined
  return (session) => {
    const key = keyOf(session)
    const known = built.get(key)
    if (known !== undefined) return known
    const of = apis.get(key)
    if (of === undefined) return (nobody ??= build({ tables: [], functions: [] }))
    const role = build(of)
    built.set(key, role)
    return role
  }
}

/** A role's name may hold anything but is never told from another by what follows it. */
const keyOf = ({ role, isBackend }: Pick<Session, 'role' | 'isBackend'>): string =>
  role === adminRole ? adminRole : `${isBackend ? 'backend' : 'frontend'} ${role}`
