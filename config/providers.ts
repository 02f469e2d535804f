/** What the settings say of each provider. What a provider takes, it checks itself: only it knows. */
import type { Environment } from './environment.ts'
import type { Settings } from './schema.ts'

/** By the provider's name, or the path of its module, as `regions.provider` has it. */
export type ProviderOptions = Readonly<Record<string, Readonly<Record<string, unknown>>>>

/** Settings of their own go before MUSTER_PROVIDERS, option by option. */
export function providerOptionsOf(settings: Partial<Settings>): ProviderOptions {
  const named = {
    aws: given({
      endpoint: settings.MUSTER_AWS_ENDPOINT,
      client_tokens: settings.MUSTER_AWS_CLIENT_TOKENS,
      visibility_s: settings.MUSTER_AWS_VISIBILITY_S,
      request_timeout_s: settings.MUSTER_AWS_REQUEST_TIMEOUT_S,
      page_size: settings.MUSTER_AWS_PAGE_SIZE,
    }),
    local: given({ agent_command: settings.MUSTER_AGENT_COMMAND }),
  }
  const all: Record<string, Readonly<Record<string, unknown>>> = { ...settings.MUSTER_PROVIDERS }
  for (const [provider, options] of Object.entries(named)) {
    if (Object.keys(options).length > 0) all[provider] = { ...all[provider], ...options }
  }
  return all
}

function given(options: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}

/** Of AWS's own, which its tools read from the environment too. */
const secretVariables = ['AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_CONTAINER_AUTHORIZATION_TOKEN']
const soundsSecret = /secret|password|passphrase|credential|(^|_)(private_|api_?|access_)?key$|(^|_)token$/i

/** Secrets of providers: those of the environment, and whatever of their options is called like one. */
export function providerSecrets(options: ProviderOptions, environment: Environment): readonly string[] {
  return [...secretVariables.flatMap((name) => environment[name] ?? []), ...secretTexts(options, false)]
}

function secretTexts(value: unknown, isSecret: boolean): readonly string[] {
  if (typeof value === 'string') return isSecret ? [value] : []
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, below]) =>
    secretTexts(below, isSecret || soundsSecret.test(name)),
  )
}
