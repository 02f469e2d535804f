import { readFileSync } from 'node:fs'

import { expect, it } from 'vitest'

import { settingNames, settings } from '../../../config/schema.ts'

const documented = new Map(
  [...readFileSync('docs/settings.md', 'utf8').matchAll(/^\| `(\w+)` \| (.*) \| (.*) \|$/gm)].map(
    ([, name, doc, value]) => [name, { doc, value }],
  ),
)

it('documents every setting, with its meaning and default, and no other', () => {
  expect([...documented.keys()]).toEqual(settingNames)
  for (const name of settingNames) {
    const parsed = settings[name].schema.safeParse(undefined)
    const value = parsed.success && parsed.data !== undefined ? `\`${JSON.stringify(parsed.data)}\`` : ''
    expect({ name, ...documented.get(name) }).toEqual({ name, doc: settings[name].doc, value })
  }
})
