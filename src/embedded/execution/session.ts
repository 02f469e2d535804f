/** Who asks. Roles other than the administrator's come with permissions; until then they see nothing. */
export interface Session {
  readonly role: string
  /** `x-hasura-…` headers, names in lower case. */
  readonly variables: Readonly<Record<string, string>>
}

export const adminRole = 'admin'
