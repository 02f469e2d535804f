import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { codegen } from '@graphql-codegen/core'
import * as typescriptPlugin from '@graphql-codegen/typescript'
import * as operationsPlugin from '@graphql-codegen/typescript-operations'
import { buildClientSchema, getNamedType, isEnumType, parse } from 'graphql'
import type { IntrospectionQuery } from 'graphql'
import ts from 'typescript'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'

import { documents } from '../../../src/hasura/documents.ts'
import { introspectFleet, schemaFile, schemaText } from '../../support/endpoint-schema.ts'

describe('the schema that the endpoint tells', () => {
  let introspection: IntrospectionQuery
  beforeAll(async () => {
    introspection = await introspectFleet()
  })

  it('is the one that make check holds the daemon’s documents against (else: make schema)', () => {
    expect(schemaText(introspection)).toBe(readFileSync(schemaFile, 'utf8'))
  })

  it('is taken by graphql-codegen, whose types compile', async () => {
    const named = Object.entries(documents).map(([name, text]) => ({
      location: name,
      // As the tools want it: an operation bears a name.
      document: parse(text.replace(/^(query|mutation|subscription)/, `$1 ${name}`)),
    }))
    const common = { schema: parse(schemaText(introspection)), documents: named, config: {} }
    const types = await codegen({
      ...common,
      filename: 'types.ts',
      plugins: [{ typescript: {} }],
      pluginMap: { typescript: typescriptPlugin },
    })
    // It brings the types that it needs.
    const operations = await codegen({
      ...common,
      filename: 'operations.ts',
      plugins: [{ operations: {} }],
      pluginMap: { operations: operationsPlugin },
    })
    expect(types).toContain('export type Fleet_Hosts_Bool_Exp')
    expect(operations).toContain('export type RegionQuery')
    expect(faultsOf({ types, operations })).toEqual([])
  })

  it('names constraints and columns as enums, as clients refer to them', () => {
    const schema = buildClientSchema(introspection)
    for (const name of ['fleet_hosts_constraint', 'fleet_hosts_select_column', 'fleet_hosts_update_column']) {
      const type = schema.getType(name)
      expect(type !== undefined && isEnumType(getNamedType(type)), name).toBe(true)
    }
  })
})

/** What the compiler says of modules, in words. */
function faultsOf(modules: Readonly<Record<string, string>>): readonly string[] {
  const folder = mkdtempSync(join(tmpdir(), 'muster-types-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const files = Object.entries(modules).map(([name, source]) => {
    const file = join(folder, `${name}.ts`)
    writeFileSync(file, source)
    return file
  })
  const program = ts.createProgram(files, { strict: true, noEmit: true, types: [], lib: ['lib.es2022.d.ts'] })
  return ts
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
}
