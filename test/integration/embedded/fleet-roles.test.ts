/** The roles that are shipped with the fleet's own metadata. */
import { buildClientSchema, getIntrospectionQuery, isObjectType } from 'graphql'
import type { GraphQLSchema, IntrospectionQuery } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { AnEndpoint, Answer } from '../../support/an-endpoint.ts'
import { anEndpoint, databaseKinds } from '../../support/an-endpoint.ts'
import { as } from '../../support/office.ts'

const projectDir = new URL('../../../config/hasura', import.meta.url).pathname

const secrets = ['secret_hash', 'manager_key_hash']

describe.each(databaseKinds)('the fleet on %s', (kind) => {
  let fleet: AnEndpoint
  const admin = (query: string): Promise<Answer> => fleet.ask(query)
  const operator = (query: string): Promise<Answer> => fleet.ask(query, undefined, as('operator'))
  const status = (): Promise<Answer> => admin('{fleet_hosts_by_pk(id:"h1"){status}}')

  beforeAll(async () => {
    fleet = await anEndpoint(kind, { projectDir })
    await admin(
      'mutation{insert_fleet_regions_one(object:{id:"local/demo",provider:"local"}){id} insert_fleet_hosts_one(object:{id:"h1",region_id:"local/demo",provider:"local"}){id}}',
    )
    for (const next of ['PRE_CONNECTION', 'ACTIVE'])
      await admin(`mutation{update_fleet_hosts_by_pk(pk_columns:{id:"h1"},_set:{status:"${next}"}){id}}`)
  })
  afterAll(async () => fleet.close())

  const schemaOf = async (role: string): Promise<GraphQLSchema> => {
    const { data } = await fleet.ask(getIntrospectionQuery(), undefined, as(role))
    return buildClientSchema(data as unknown as IntrospectionQuery)
  }
  const fieldsOf = (schema: GraphQLSchema, type: string): string[] => {
    const found = schema.getType(type)
    return found !== undefined && 'getFields' in found ? Object.keys(found.getFields()).sort() : []
  }

  it('shows a viewer all but secrets, and lets it change nothing', async () => {
    const [whole, seen] = await Promise.all([schemaOf('admin'), schemaOf('viewer')])
    expect(seen.getMutationType()).toBeFalsy()
    expect(fieldsOf(seen, 'query_root')).toEqual(fieldsOf(whole, 'query_root'))
    expect(fieldsOf(seen, 'subscription_root')).toEqual(fieldsOf(whole, 'subscription_root'))
    const types = Object.values(whole.getTypeMap()).filter(
      (type) => isObjectType(type) && /^fleet_/.test(type.name) && !type.name.endsWith('_mutation_response'),
    )
    expect(types.length).toBeGreaterThan(11)
    for (const { name } of types) {
      const expected = fieldsOf(whole, name).filter((field) => !secrets.includes(field))
      expect({ name, fields: fieldsOf(seen, name) }).toEqual({ name, fields: expected })
    }
    expect(await fleet.ask('{fleet_hosts{id status region{id}}}', undefined, as('viewer'))).toEqual({
      data: { fleet_hosts: [{ id: 'h1', status: 'ACTIVE', region: { id: 'local/demo' } }] },
    })
  })

  it('gives an operator these mutations, of these columns', async () => {
    const schema = await schemaOf('operator')
    expect(fieldsOf(schema, 'mutation_root')).toEqual([
      'insert_fleet_images',
      'insert_fleet_images_one',
      'insert_fleet_versions',
      'insert_fleet_versions_one',
      'update_fleet_hosts',
      'update_fleet_hosts_by_pk',
      'update_fleet_hosts_many',
      'update_fleet_regions',
      'update_fleet_regions_by_pk',
      'update_fleet_regions_many',
      'update_fleet_rollouts',
      'update_fleet_rollouts_by_pk',
      'update_fleet_rollouts_many',
      'update_fleet_versions',
      'update_fleet_versions_by_pk',
      'update_fleet_versions_many',
    ])
    expect(fieldsOf(schema, 'fleet_hosts_set_input')).toEqual(['protected', 'reason', 'status'])
    expect(fieldsOf(schema, 'fleet_regions_set_input')).toEqual([
      'enabled',
      'max_hosts',
      'max_surge_hosts',
      'min_hosts',
      'target_free_agents',
    ])
    expect(fieldsOf(schema, 'fleet_rollouts_set_input')).toEqual([
      'paused',
      'rollback_wanted',
      'switch_wanted',
    ])
    expect(fieldsOf(schema, 'fleet_versions_insert_input')).toEqual(['channel', 'version'])
    expect(fieldsOf(schema, 'fleet_versions_set_input')).toEqual(['version'])
    expect(fieldsOf(schema, 'fleet_images_insert_input')).toEqual([
      'id',
      'image_id',
      'region_id',
      'status',
      'version',
    ])
    expect(fieldsOf(schema, 'fleet_enrolment_tokens')).not.toContain('secret_hash')
  })

  it('lets an operator drain a host, and do nothing else to its status', async () => {
    const update = (set: string): Promise<Answer> =>
      operator(`mutation{update_fleet_hosts(where:{id:{_eq:"h1"}},_set:{${set}}){affected_rows}}`)
    const done = { data: { update_fleet_hosts: { affected_rows: 1 } } }
    const refused = { errors: [{ extensions: { code: 'permission-error' } }] }
    expect(await update('protected:true,reason:"look at it"')).toEqual(done)
    for (const other of ['UNRESPONSIVE', 'TERMINATING', 'LAUNCHING'])
      expect(await update(`status:"${other}"`)).toMatchObject(refused)
    expect(await status()).toEqual({ data: { fleet_hosts_by_pk: { status: 'ACTIVE' } } })
    expect(await update('status:"DRAINING"')).toEqual(done)
    expect(await update('status:"TERMINATING"')).toMatchObject(refused)
    expect(await update('protected:false')).toEqual(done)
    expect(await status()).toEqual({ data: { fleet_hosts_by_pk: { status: 'DRAINING' } } })
  })

  it("lets an operator change a region's sizes and add images", async () => {
    expect(
      await operator(
        'mutation{update_fleet_regions_by_pk(pk_columns:{id:"local/demo"},_set:{max_hosts:7,enabled:false},_inc:{target_free_agents:2}){max_hosts enabled target_free_agents}}',
      ),
    ).toEqual({
      data: { update_fleet_regions_by_pk: { max_hosts: 7, enabled: false, target_free_agents: 2 } },
    })
    const add = (of: string): Promise<Answer> =>
      operator(
        `mutation{insert_fleet_images_one(object:{region_id:"local/demo",image_id:"i",version:"v",status:"${of}"}){status region{id}}}`,
      )
    expect(await add('CANDIDATE')).toEqual({
      data: { insert_fleet_images_one: { status: 'CANDIDATE', region: { id: 'local/demo' } } },
    })
    expect(await add('RETIRED')).toMatchObject({ errors: [{ extensions: { code: 'permission-error' } }] })
  })
})
