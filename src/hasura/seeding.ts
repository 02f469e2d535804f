import type { HasuraClient } from './client.ts'
import { documents } from './documents.ts'

/** Regions as the rows of `fleet.regions`, each with its images. */
export type SeedRegions = readonly (Readonly<Record<string, unknown>> & {
  readonly id: string
  readonly images: readonly (Readonly<Record<string, unknown>> & { readonly image_id: string })[]
})[]

/** Insert a seed's regions into a database that has never been seeded; gives whether it did. */
export async function seedOnce(client: HasuraClient, seedRegions: SeedRegions): Promise<boolean> {
  const settings = await client.request<{ fleet_settings: { seeded: boolean }[] }>(documents.isSeeded)
  if (settings.fleet_settings[0]?.seeded !== false) return false
  await client.request(documents.seed, {
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
