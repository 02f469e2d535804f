/**
 * What may stand in a log. An allow-list: a text is written only under a name that is listed here, an object is gone
 * through field by field, an error gives its kind, code, words and place; all else is named and left out. Numbers, booleans
 * and null are written under every name: no secret of ours is one. Texts that are written are cut, hold no control characters
 * (a line of the log is one line, and colours nothing), and lose what looks like a secret.
 */
const whatItIsAbout = `region regionId regions hostId hosts agentId launchId cloudId cloudIds imageId actionId decisionId
  backendId backend certificate serial serials renews spkiHash issuer tokenId user actor caller provider algorithm holder fleetId
  version status kind act`
const whatHappened = `outcome why what reason detail details code cause causes decisions level result state phase mode`
const where = `route requestId path directory seedFile file database address host target migrations ignored table url
  protocol schedule command signal at notAfter`
const listedNames: ReadonlySet<string> = new Set(`${whatItIsAbout} ${whatHappened} ${where}`.split(/\s+/))

const longestText = 1_000
const mostItems = 50
const mostFrames = 12
const deepest = 4
const leftOut = '[left out]'
const redacted = '[redacted]'

/** Secrets by their look, for where one stands in the words of an error. */
const looksOfSecrets: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z0-9 ]*-----[\s\S]*?(?:-----END [A-Z0-9 ]*-----|$)/g, redacted],
  // Tokens of enrolment and their like, JWTs.
  [/\bms[a-z]\d_[\w-]+/g, redacted],
  [/\beyJ[\w-]+\.[\w-]*\.?[\w-]*/g, redacted],
  [/\b(Bearer|Basic) +[^\s"',;]+/gi, `$1 ${redacted}`],
  [/(:\/\/)[^\s/@"']*@/g, `$1${redacted}@`],
  [/((?:secret|password|passphrase|token|api[-_]?key)["']?\s*[:=]\s*["']?)[^\s"',;&}]+/gi, `$1${redacted}`],
]
// eslint-disable-next-line no-control-regex -- that is what is taken out
const ansi = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|.)?/g
const controls = /[\p{Cc}\p{Zl}\p{Zp}\p{Cf}\p{Cs}]+/gu

/** A text for a log: on one line, not endless, and without what looks like a secret. */
export function safeText(text: string): string {
  // Cut first: what is long costs time, and is cut anyhow; a secret cut in two still begins as one.
  let safe = text.length > 4 * longestText ? text.slice(0, 4 * longestText) : text
  for (const [look, instead] of looksOfSecrets) safe = safe.replace(look, instead)
  safe = safe.replace(ansi, '').replace(controls, ' ')
  return safe.length > longestText ? `${safe.slice(0, longestText)}…` : safe
}

/** The fields of a log line. */
export function safeFields(fields: object): Record<string, unknown> {
  return fields instanceof Error ? { err: safeError(fields) } : safeObject(fields, 0)
}

function safeObject(object: object, depth: number): Record<string, unknown> {
  const entries = Object.entries(object).slice(0, mostItems)
  return Object.fromEntries(entries.map(([name, value]) => [safeText(name), safeValue(name, value, depth)]))
}

function safeValue(name: string, value: unknown, depth: number): unknown {
  if (value === null || value === undefined) return value
  if (typeof value === 'number' || typeof value === 'boolean') return value
  if (value instanceof Error) return safeError(value, depth)
  if (typeof value === 'string') return listedNames.has(name) ? safeText(value) : leftOut
  if (typeof value === 'bigint') return String(value)
  if (typeof value !== 'object' || depth >= deepest || ArrayBuffer.isView(value)) return leftOut
  if (Array.isArray(value)) return value.slice(0, mostItems).map((item) => safeValue(name, item, depth + 1))
  // No class of anybody's: a request, a key or a socket holds more than its name says.
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return leftOut
  return safeObject(value, depth + 1)
}

/** Nothing that a library has hung on its error: queries, parameters, requests and answers stand there. */
function safeError(error: Error, depth = 0): Record<string, unknown> {
  const { code, details, cause } = error as { code?: unknown; details?: unknown; cause?: unknown }
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
  return {
    type: safeText(error.name),
    ...((typeof code === 'string' || typeof code === 'number') && { code: safeText(String(code)) }),
    message: safeText(error.message),
    ...(Array.isArray(details) && { details: safeValue('details', details, depth + 1) }),
    stack: frames.slice(0, mostFrames).map((line) => safeText(line.trim())),
    ...(cause instanceof Error && depth < deepest && { cause: safeError(cause, depth + 1) }),
  }
}
