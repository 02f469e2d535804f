import type { ConnectedBackend } from './connected-backend.ts'

/** Who is connected: the youngest stream of each backend, found by its backend or by the host that it serves. */
export class ConnectedBackends {
  readonly #backends = new Map<string, ConnectedBackend>()
  /** By the id of the host that each serves. */
  readonly #serving = new Map<string, ConnectedBackend>()

  add(backend: ConnectedBackend): void {
    this.#backends.set(backend.id, backend)
    if (backend.host !== undefined) this.#serving.set(backend.host.id, backend)
  }

  /** false: another stream of the backend has taken its place. */
  remove(backend: ConnectedBackend): boolean {
    if (this.#backends.get(backend.id) !== backend) return false
    this.#backends.delete(backend.id)
    if (backend.host !== undefined) this.#serving.delete(backend.host.id)
    return true
  }

  removeAll(): readonly ConnectedBackend[] {
    const all = [...this.#backends.values()]
    this.#backends.clear()
    this.#serving.clear()
    return all
  }

  of(backendId: string): ConnectedBackend | undefined {
    return this.#backends.get(backendId)
  }

  serving(hostId: string): ConnectedBackend | undefined {
    return this.#serving.get(hostId)
  }

  [Symbol.iterator](): Iterator<ConnectedBackend> {
    return this.#backends.values()
  }
}
