import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { readProject } from '../../../../src/embedded/project/metadata.ts'
import { readYaml } from '../../../../src/embedded/project/yaml-file.ts'

const root = new URL('../../../../', import.meta.url).pathname

describe('a project', () => {
  it('is read as the Hasura CLI writes it', async () => {
    const project = await readProject(join(root, 'test/support/library-project'))
    expect(project.tables.map(({ table }) => table).slice(0, 5)).toEqual([
      { name: 'author', schema: 'public' },
      { name: 'book', schema: 'public' },
      { name: 'prolific', schema: 'public' },
      { name: 'sample', schema: 'public' },
      { name: 'loan', schema: 'shop' },
    ])
    expect(project.functions).toContainEqual({
      function: { name: 'lend', schema: 'shop' },
      permissions: [],
      configuration: { exposed_as: 'mutation' },
    })
    expect(project.migrationsDirectory).toMatch(/library-project\/migrations\/default$/)
    expect(project.ignored).toEqual([])
  })

  it.each([
    ['limit: -1', 'select_permissions.0.permission.limit'],
    ['columns: name', 'select_permissions.0.permission.columns'],
    ['filter: x', 'select_permissions.0.permission.filter'],
  ])('with a permission of %s is refused by the name of the file', async (line, place) => {
    const folder = await mkdtemp(join(tmpdir(), 'muster-project-'))
    try {
      await cp(join(root, 'test/support/office-project'), folder, { recursive: true })
      const file = join(folder, 'metadata/databases/default/tables/public_employee.yaml')
      const permission = `select_permissions:\n  - role: r\n    permission:\n      ${line}\n`
      await writeFile(file, `table: employee\n${permission}`)
      await expect(readProject(folder)).rejects.toMatchObject({
        code: 'config-invalid',
        message: expect.stringContaining(`${file}: 0.tables.1.${place}: `) as string,
      })
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  it('is ours too', async () => {
    const project = await readProject(join(root, 'config/hasura'))
    expect(project.tables.length).toBeGreaterThanOrEqual(11)
  })
})

describe('a YAML file with inclusions', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'muster-yaml-'))
    await writeFile(
      join(folder, 'whole.yaml'),
      'a: "!include part.yaml"\nb: [!include part.yaml, "!included"]\n',
    )
    await writeFile(join(folder, 'part.yaml'), '- 1\n')
    await writeFile(join(folder, 'broken.yaml'), 'a: [1\n')
    await writeFile(join(folder, 'loop.yaml'), '"!include loop.yaml"')
  })
  afterAll(async () => rm(folder, { recursive: true, force: true }))

  it('is one value, whether the inclusion is quoted or not', async () => {
    expect(await readYaml(join(folder, 'whole.yaml'))).toEqual({ a: [1], b: [[1], '!included'] })
  })

  it.each(['broken', 'loop', 'missing'])('that is %s is named', async (name) => {
    await expect(readYaml(join(folder, `${name}.yaml`))).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining(`${name}.yaml`) as string,
    })
  })
})
