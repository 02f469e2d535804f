/**
 * The registry of providers: one line a plugin, loaded when a region first names it, since an SDK of a cloud that
 * nobody uses costs start-up time. A provider may also be the path of a module (`./…`, `/…` or `file:…`) that exports
 * `createHandler`. Only app.ts and the command line see it.
 */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

import { MusterError } from '../src/model/errors.ts'
import type { HostHandler } from '../src/model/host-handler.ts'
import type { HandlerContext, HandlerPlugin } from './handler-context.ts'

const plugins = {
  aws: () => import('./aws/handler.ts'),
  fake: () => import('./fake/handler.ts'),
  local: () => import('./local/handler.ts'),
  static: () => import('./static/handler.ts'),
} satisfies Record<string, () => Promise<HandlerPlugin>>

/**
 * The door to the provider of this name, or of this module; relative paths start from the daemon's working directory.
 *
 * @throws MusterError `provider-unknown`, which says what there is; `config-invalid` when its options are wrong.
 */
export async function loadHostHandler(provider: string, context: HandlerContext): Promise<HostHandler> {
  if (/^(\.{1,2}\/|\/|file:)/.test(provider)) return (await importPlugin(provider)).createHandler(context)
  const known: Readonly<Record<string, () => Promise<HandlerPlugin>>> = plugins
  const load = Object.hasOwn(known, provider) ? known[provider] : undefined
  if (load !== undefined) return (await load()).createHandler(context)
  const names = Object.keys(plugins).join(', ')
  throw new MusterError(
    'provider-unknown',
    `There is no provider "${provider}": use one of ${names}, or the path of a module that starts with ./ or /`,
  )
}

async function importPlugin(path: string): Promise<HandlerPlugin> {
  const url = path.startsWith('file:') ? path : pathToFileURL(resolve(path)).href
  let loaded: unknown
  try {
    loaded = await import(url)
  } catch (cause) {
    throw new MusterError(
      'provider-unknown',
      `The provider module ${path} cannot be loaded: ${String(cause)}`,
      {
        cause,
      },
    )
  }
  if (typeof (loaded as Partial<HandlerPlugin>).createHandler === 'function') return loaded as HandlerPlugin
  throw new MusterError('provider-unknown', `The provider module ${path} does not export "createHandler"`)
}
