import type { HasuraClient } from './client.ts'

/** Regions as the rows of `fleet.regions`, each with its images. */
export type SeedRegions = readonly (Readonly<Record<string, unknown>> & {
  readonly id: string
  readonly images: readonly (Readonly<Record<string, unknown>> & { readonly image_id: string })[]
})[]

const isSeeded = 'query { fleet_settings { seeded } }'
// One request is one transaction: a crash leaves the database unseeded, not half seeded.
const seed = `mutation ($regions: [fleet_regions_insert_input!]!, $images: [fleet_images_insert_input!]!) {
  insert_fleet_regions(objects: $regions, on_conflict: {constraint: regions_pkey, update_columns: []}) { affected_rows }
  insert_fleet_images(objects: $images, on_conflict: {constraint: images_pkey, update_columns: []}) { affected_rows }
  update_fleet_settings(where: {}, _set: {seeded: true}) { affected_rows }
}`

/** Insert a seed's regions into a database that has never been seeded; gives whether it did. */
export async function seedOnce(client: HasuraClient, seedRegions: SeedRegions): Promise<boolean> {
  const settings = await client.request<{ fleet_settings: { seeded: boolean }[] }>(isSeeded)
  if (settings.fleet_settings[0]?.seeded !== false) return false
  await client.request(seed, {
    regions: seedRegions.map(({ images: _, ...region }) => region),
    images: seedRegions.flatMap((region) =>
      region.images.map((image) => ({
        ...image,
        region_id: region.id,
        id: `${region.id}:${image.image_id}`,
      })),
    ),
  })
  return true
}
