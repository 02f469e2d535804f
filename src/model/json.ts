export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject

/** What a jsonb column holds unchanged. */
export interface JsonObject {
  readonly [key: string]: JsonValue
}
