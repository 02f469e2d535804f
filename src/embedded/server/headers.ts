/** A request's headers, names in lower case. */
export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>

export const single = (value: Headers[string]): string | undefined =>
  typeof value === 'object' ? value[0] : value
