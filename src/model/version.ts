/** As semver.org has it; a leading v is common. */
const semver =
  /^v?(?<core>(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*))(?<pre>-(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/

/** Whether two versions are one: by precedence where both are semantic (a build's metadata counts for nothing), else as text. */
export function isSameVersion(one: string, other: string): boolean {
  return one === other || precedenceOf(one) === precedenceOf(other)
}

function precedenceOf(version: string): string {
  const found = semver.exec(version)?.groups
  return found === undefined ? version : `${found.core}${found.pre ?? ''}`
}
