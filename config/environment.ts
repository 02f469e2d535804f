/** The process's variables, as `config/` reads them. */
export type Environment = Readonly<Record<string, string | undefined>>
