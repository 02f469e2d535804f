/**
 * Every setting: where it is read from, its default and its bounds. The environment (12-factor) stands over the YAML
 * file that MUSTER_CONFIG names; live region settings are rows in `fleet.regions`, not here.
 */
import { isIPv4, isIPv6 } from 'node:net'

import { z } from 'zod'

const port = z.coerce.number().int().min(0).max(65_535)
const seconds = (min: number, max: number) => z.coerce.number().min(min).max(max)
const url = (protocols: readonly string[]) =>
  z.string().refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol), {
    message: `must be a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`,
  })
/** PEM in one line, as some platforms hold it, has its line ends written as \n. */
const pem = z.string().transform((text) => text.replaceAll('\\n', '\n'))
const secret = (min: number) => z.string().min(min, `must have at least ${min} characters`)
const isLoopback = (host: string): boolean => /^(localhost|127(\.\d+){3}|\[::1\])$/.test(host)
/** Where keys come from must be who it says it is, and its address is printed. */
const keySetUrl = z.string().refine(
  (text) => {
    if (!URL.canParse(text)) return false
    const { protocol, hostname, username, password } = new URL(text)
    const isSafe = protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname))
    return isSafe && username === '' && password === ''
  },
  { message: 'must be an https:// URL without a user (http:// only on this machine)' },
)
/** Another server of a cloud's API: its address is printed, so it holds no user. */
const serverUrl = url(['http:', 'https:']).refine(
  (text) => URL.canParse(text) && new URL(text).username === '' && new URL(text).password === '',
  { message: 'must not hold a user or password' },
)
const count = (max: number) => z.coerce.number().int().min(1).max(max)
const list = (text: string): string[] => text.split(',').map((part) => part.trim())
const subnet = z.string().refine(
  (text) => {
    const [address = '', bits, ...more] = text.split('/')
    const most = isIPv4(address) ? 32 : isIPv6(address) ? 128 : 0
    return (
      most > 0 &&
      more.length === 0 &&
      (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most))
    )
  },
  { message: 'must be addresses or subnets such as 10.0.0.0/8, or heroku' },
)
const origin = z
  .string()
  .refine((text) => text === '*' || /^https?:\/\/(\*\.)?[a-z0-9.-]+(:\d{1,5})?$/i.test(text), {
    message: 'must be *, or origins such as https://app.example.com or https://*.example.com',
  })
/** As a manager reads it (src/manager/daemon-address.ts), which cannot be asked here. */
const isManagerAddress = (text: string): boolean => {
  const port = /^(?:\[[0-9A-Fa-f:.]+\]|[^\s:[\]/]+):(\d{1,5})$/.exec(text)?.[1]
  if (port !== undefined) return Number(port) >= 1 && Number(port) <= 65_535
  if (!URL.canParse(text) || !/^wss?:\/\/[^\s?#@]+\/v1\/managers$/.test(text)) return false
  const { protocol, hostname } = new URL(text)
  return protocol === 'wss:' || isLoopback(hostname)
}
const cron = z.string().regex(/^(\S+\s+){4,5}\S+$/, 'must be a cron expression of five or six fields')

/** One setting: the variable's name, what it means (for `muster check-config` and docs), and its schema. */
export const settings = {
  PORT: { doc: 'HTTP API port; 0 takes a free one', schema: port.default(7730) },
  MUSTER_HTTP_HOST: {
    doc: 'address the HTTP API listens on; 0.0.0.0 behind a router, as on Heroku',
    schema: z.string().min(1).default('127.0.0.1'),
  },
  MUSTER_GRAPHQL_PORT: { doc: 'port of the embedded GraphQL endpoint', schema: port.default(8080) },
  MUSTER_GRAPHQL_TIMING: {
    doc: 'when the embedded endpoint tells of changes: fast, at once, or hasura, by polls each second as a real Hasura',
    schema: z.enum(['fast', 'hasura']).default('fast'),
  },
  MUSTER_MANAGER_HOST: {
    doc: "address the managers' port listens on; 0.0.0.0 for managers on other machines",
    schema: z.string().min(1).default('127.0.0.1'),
  },
  MUSTER_MANAGER_PORT: { doc: "port for managers' gRPC streams, by mutual TLS", schema: port.default(7011) },
  MUSTER_MANAGER_HANDSHAKES: {
    doc: "TLS handshakes at once at the managers' door, a quarter of them from one address",
    schema: z.coerce.number().int().min(8).max(10_000).default(512),
  },
  MUSTER_MANAGER_ACCEPT_RATE: {
    doc: "connections that one address may open in a second at the managers' door",
    schema: z.coerce.number().int().min(1).max(100_000).default(200),
  },
  MUSTER_MANAGER_ADVERTISE: {
    doc: 'addresses that managers dial, comma-separated, each host:port or wss://host/v1/managers; the own managers’ port unless set',
    schema: z
      .string()
      .transform((text) => text.split(',').map((part) => part.trim()))
      .pipe(z.array(z.string().refine(isManagerAddress, 'must be host:port or wss://host/v1/managers')))
      .optional(),
  },
  MUSTER_DATA_DIR: {
    doc: 'folder for the embedded database, generated secrets and local hosts',
    schema: z.string().min(1).default('./data'),
  },
  DATABASE_URL: {
    doc: 'PostgreSQL behind the embedded endpoint, instead of the built-in PGlite',
    schema: url(['postgres:', 'postgresql:']).optional(),
  },
  HASURA_GRAPHQL_ENDPOINT: {
    doc: 'a real Hasura v2 (https://…, with or without /v1/graphql); it wins over DATABASE_URL',
    schema: url(['http:', 'https:']).optional(),
  },
  HASURA_GRAPHQL_ADMIN_SECRET: {
    doc: 'admin secret of the GraphQL endpoint and of this API; generated on the built-in database',
    schema: secret(1).optional(),
  },
  HASURA_GRAPHQL_JWT_SECRET: {
    doc: "how the embedded endpoint checks users' tokens: JSON with type and key or jwk_url, as for a Hasura (docs/embedded-endpoint.md)",
    schema: secret(1).optional(),
  },
  HASURA_GRAPHQL_UNAUTHORIZED_ROLE: {
    doc: 'role, on the embedded endpoint, of requests with neither secret nor token; refused unless set',
    schema: z.string().min(1).optional(),
  },
  HASURA_GRAPHQL_CORS_DOMAIN: {
    doc: 'origins whose pages may open sockets to the embedded endpoint, comma-separated, https://*.example.com for each directly below, * for any; only its own unless set',
    schema: z.string().transform(list).pipe(z.array(origin)).default([]),
  },
  MUSTER_ADMIN_SECRET_PREVIOUS: {
    doc: 'an admin secret that this API and the embedded endpoint accept too, while another takes its place',
    schema: secret(1).optional(),
  },
  MUSTER_JWT_SECRET: {
    doc: "HS256 key of users' tokens, 32 characters or more; generated on the built-in database",
    schema: secret(1).optional(),
  },
  MUSTER_JWKS_URL: {
    doc: "key set of users' tokens, instead of MUSTER_JWT_SECRET",
    schema: keySetUrl.optional(),
  },
  MUSTER_JWT_ISSUER: {
    doc: "what iss of users' tokens must be; any unless set",
    schema: z.string().min(1).optional(),
  },
  MUSTER_JWT_AUDIENCE: {
    doc: "what aud of users' tokens must be or hold; any unless set",
    schema: z.string().min(1).optional(),
  },
  MUSTER_JWT_MAX_AGE_S: {
    doc: "seconds after its iat until which a user's token counts, whatever its exp",
    schema: count(31_536_000).default(86_400),
  },
  MUSTER_FLEET_KEY: {
    doc: 'launch tokens are derived from it, 32 characters or more; generated on the built-in database',
    schema: secret(1).optional(),
  },
  MUSTER_CA_CERTIFICATES: {
    doc: "certificates of the managers' certificate authority, PEM: the issuing one first, others that are trusted, roots last; made on the built-in database",
    schema: pem.optional(),
  },
  MUSTER_CA_CERTIFICATES_FILE: {
    doc: 'file that holds MUSTER_CA_CERTIFICATES',
    schema: z.string().min(1).optional(),
  },
  MUSTER_CA_KEY: {
    doc: "the issuing certificate's key, encrypted PKCS#8 as PEM; made on the built-in database",
    schema: pem.optional(),
  },
  MUSTER_CA_KEY_FILE: { doc: 'file that holds MUSTER_CA_KEY', schema: z.string().min(1).optional() },
  MUSTER_CA_PASSPHRASE: {
    doc: "decrypts the certificate authority's keys; generated on the built-in database",
    schema: secret(1).optional(),
  },
  MUSTER_CA_PASSPHRASE_FILE: {
    doc: 'file that holds MUSTER_CA_PASSPHRASE',
    schema: z.string().min(1).optional(),
  },
  MUSTER_CERTIFICATE_LIFETIME_S: {
    doc: "seconds that a manager's certificate is valid; it is renewed at two thirds of them",
    schema: z.coerce
      .number()
      .int()
      .min(60)
      .max(90 * 86_400)
      .default(86_400),
  },
  MUSTER_HOOK_SECRET: {
    doc: 'secret of the webhooks that a Hasura calls (docs/hasura.md), at least 32 characters; two, comma-separated, while one replaces the other; without it there are no webhooks',
    schema: z
      .string()
      .transform((text) => text.split(',').map((part) => part.trim()))
      .pipe(z.array(secret(32)).max(2, 'must be one secret, or two with a comma between them'))
      .optional(),
  },
  MUSTER_TRUSTED_PROXIES: {
    doc: 'whose X-Forwarded-For and -Proto count: addresses and subnets of proxies, comma-separated, or heroku; nobody’s unless set',
    schema: z.union([z.literal('heroku'), z.string().transform(list).pipe(z.array(subnet))]).optional(),
  },
  MUSTER_METRICS_OPEN: {
    doc: 'true: anybody may read /metrics; else it needs the admin secret or a token with a role',
    schema: z
      .enum(['true', 'false'])
      .default('false')
      .transform((text) => text === 'true'),
  },
  MUSTER_REQUEST_LIMIT: {
    doc: 'requests that one caller (a user, the administrator, or an address) may send in 10 s',
    schema: count(1_000_000).default(3_000),
  },
  MUSTER_FAILED_LOGIN_LIMIT: {
    doc: 'wrong secrets and tokens, of callers or of managers that enrol, that may come from one address in a minute',
    schema: count(1_000_000).default(100),
  },
  MUSTER_CREDENTIAL_LIMIT: {
    doc: 'requests for tokens and certificates that one caller may send in a minute',
    schema: count(1_000_000).default(120),
  },
  SENTRY_DSN: { doc: 'where unexpected errors are reported', schema: url(['http:', 'https:']).optional() },
  LOG_LEVEL: {
    doc: 'trace, debug, info, warn, error or silent',
    schema: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  },
  MUSTER_LOG_FORMAT: { doc: 'json or pretty', schema: z.enum(['json', 'pretty']).default('json') },
  MUSTER_SEED: {
    doc: 'YAML file with regions for a database that is new to Muster, or none; config/seed/demo.yaml on the embedded endpoint',
    schema: z.string().min(1).optional(),
  },
  MUSTER_IMAGES_FILE: {
    doc: 'JSON file with an image for each region, rolled out at the start unless the region has had it (docs/rollouts.md)',
    schema: z.string().min(1).optional(),
  },
  MUSTER_IMAGES_VERSION: {
    doc: 'the version of MUSTER_IMAGES_FILE, where it holds a plain map of regions to images',
    schema: z.string().min(1).optional(),
  },
  MUSTER_TICK: {
    doc: 'cron expression (seconds allowed, UTC) of the tick on which regions are scaled down',
    schema: cron.default('*/10 * * * * *'),
  },
  MUSTER_RESYNC_S: { doc: 'seconds between rebuilds of the mirror', schema: seconds(1, 3600).default(30) },
  MUSTER_LEASE_S: {
    doc: "seconds of the active daemon's lease",
    schema: z.coerce.number().int().min(2).max(300).default(15),
  },
  MUSTER_HEARTBEAT_S: { doc: 'seconds between heartbeats of a manager', schema: seconds(0.1, 60).default(5) },
  MUSTER_SWEEP_S: {
    doc: "seconds between comparisons of the cloud's list with the rows",
    schema: seconds(1, 86_400).default(120),
  },
  MUSTER_SWEEP_GRACE_S: {
    doc: 'seconds that a machine must have had no row before the sweep ends it',
    schema: seconds(1, 86_400).default(600),
  },
  MUSTER_SWEEP_MISSING_S: {
    doc: "seconds between two whole lists that both miss a host's machine before the sweep closes its row",
    schema: seconds(1, 86_400).default(300),
  },
  MUSTER_CAPACITY_BLOCK_S: {
    doc: 'seconds that an offering without capacity is not asked for again',
    schema: seconds(1, 86_400).default(180),
  },
  MUSTER_QUOTA_BLOCK_S: {
    doc: 'seconds that an offering beyond the quota is not asked for again',
    schema: seconds(1, 86_400).default(900),
  },
  MUSTER_RETENTION_DAYS: {
    doc: 'days that ended hosts, decisions, actions and assignments are kept',
    schema: z.coerce.number().int().min(1).max(3650).default(30),
  },
  MUSTER_ASSIGN_LIMIT: {
    doc: 'assign requests that one user may send in 10 s',
    schema: z.coerce.number().int().min(1).max(1_000_000).default(100),
  },
  MUSTER_DATABASE_POOL: {
    doc: 'connections to DATABASE_URL',
    schema: z.coerce.number().int().min(2).max(200).default(16),
  },
  MUSTER_AGENT_COMMAND: {
    doc: 'JSON array: the program that local hosts run as an agent; examples/hello-agent unless set',
    schema: z
      .string()
      .transform((text, context) => {
        try {
          return JSON.parse(text) as unknown
        } catch {
          context.addIssue({ code: 'custom', message: 'must be a JSON array of strings' })
          return z.NEVER
        }
      })
      .pipe(z.array(z.string()).min(1))
      .optional(),
  },
  MUSTER_PROVIDERS: {
    doc: 'options of providers by name or module path, as JSON or, in the YAML file, a mapping: {"aws": {"page_size": 100}}; settings of their own, as MUSTER_AWS_PAGE_SIZE, go before it',
    schema: z
      .string()
      .transform((text, context) => {
        try {
          return JSON.parse(text) as unknown
        } catch {
          context.addIssue({ code: 'custom', message: 'must be a JSON object' })
          return z.NEVER
        }
      })
      .pipe(
        z.record(
          z.string().min(1),
          z.record(z.string(), z.unknown(), 'must be an object of options for each provider'),
          'must be an object with the names of providers',
        ),
      )
      .optional(),
  },
  MUSTER_AWS_ENDPOINT: {
    doc: "address of EC2's API: a VPC endpoint, or a server that is not AWS's; AWS's own unless set",
    schema: serverUrl.optional(),
  },
  MUSTER_AWS_CLIENT_TOKENS: {
    doc: 'honoured, as EC2 does, or ignored, for servers that do not keep client tokens: a repeated launch then waits and looks; honoured unless set',
    schema: z.enum(['honoured', 'ignored']).optional(),
  },
  MUSTER_AWS_VISIBILITY_S: {
    doc: 'seconds that a fresh EC2 instance may be missing from lists; 30 unless set',
    schema: seconds(0, 600).optional(),
  },
  MUSTER_AWS_REQUEST_TIMEOUT_S: {
    doc: 'seconds that one request to EC2 may take; 30 unless set',
    schema: seconds(0.1, 300).optional(),
  },
  MUSTER_AWS_PAGE_SIZE: {
    doc: 'EC2 instances on a page of a list; 50 unless set',
    schema: z.coerce.number().int().min(5).max(1000).optional(),
  },
  MUSTER_FAULTS: {
    doc: 'for crash tests: fault points at which the daemon kills itself, comma-separated',
    schema: z
      .string()
      .transform((text) =>
        text
          .split(',')
          .map((part) => part.trim())
          .filter((part) => part !== ''),
      )
      .default([]),
  },
} as const

export type SettingName = keyof typeof settings
export type Settings = { readonly [Name in SettingName]: z.output<(typeof settings)[Name]['schema']> }

export const settingNames = Object.keys(settings) as readonly SettingName[]
