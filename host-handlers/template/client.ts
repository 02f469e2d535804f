/**
 * Here stands your cloud's SDK. This one keeps its machines in memory, so that the template runs and passes the
 * contract suite as it is; what a handler needs of a cloud is what it does:
 *
 * - `create` takes an idempotency token: the same token twice gives the same machines;
 * - `create` sets the tags in the very call that creates: a machine without them, however briefly, is lost to the sweep
 *   when the daemon dies just then;
 * - `find` filters by tags, and says of machines that have ended that they have;
 * - `remove` may be asked any number of times.
 *
 * A cloud without tokens can do too: look for `launchId` before each create (docs/writing-a-host-handler.md).
 */
export interface Machine {
  readonly id: string
  readonly tags: Readonly<Record<string, string>>
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly isEnded: boolean
}

/** What the cloud answers when it does not want to. Yours has codes of its own. */
export class CloudRefusal extends Error {
  override readonly name = 'CloudRefusal'
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

export class TemplateCloud {
  readonly #machines = new Map<string, Machine>()
  readonly #answers = new Map<string, readonly string[]>()
  readonly #quota: number

  constructor(quota: number) {
    this.#quota = quota
  }

  /** @throws CloudRefusal */
  async create(
    token: string,
    count: number,
    tags: Readonly<Record<string, string>>,
    now: number,
  ): Promise<readonly string[]> {
    await Promise.resolve()
    const known = this.#answers.get(token)
    if (known !== undefined) return known
    const standing = [...this.#machines.values()].filter((machine) => !machine.isEnded).length
    const possible = Math.min(count, this.#quota - standing)
    if (possible <= 0) throw new CloudRefusal('QuotaReached', `the quota is ${this.#quota} machines`)
    const ids = Array.from({ length: possible }, (_, at) => `machine-${this.#machines.size + at}`)
    for (const id of ids) this.#machines.set(id, { id, tags, createdAt: now, isEnded: false })
    this.#answers.set(token, ids)
    return ids
  }

  /** All machines with these tags, ended ones too. */
  async find(tags: Readonly<Record<string, string>>): Promise<readonly Machine[]> {
    await Promise.resolve()
    return [...this.#machines.values()].filter((machine) =>
      Object.entries(tags).every(([key, value]) => machine.tags[key] === value),
    )
  }

  async remove(id: string): Promise<void> {
    await Promise.resolve()
    const machine = this.#machines.get(id)
    if (machine !== undefined) this.#machines.set(id, { ...machine, isEnded: true })
  }
}
