/** Who asks. A role that the metadata knows nothing of sees nothing. */
export interface Session {
  readonly role: string
  /** `x-hasura-…` headers, names in lower case. */
  readonly variables: Readonly<Record<string, string>>
  /** Whether it may use what the metadata leaves to backends. */
  readonly isBackend: boolean
  /** When its credentials expire, in milliseconds of the epoch; undefined for never. */
  readonly expiresAt?: number
}

export const adminRole = 'admin'
