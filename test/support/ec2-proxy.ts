/**
 * A proxy in front of an EC2 API server that does what networks and clouds do: it throttles, has no capacity, answers
 * late, in part or never, after it did what was asked or before. It keeps client tokens as EC2 does, when asked to.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request as httpRequest } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

/** What goes wrong with one coming request. */
export type Ec2Fault =
  /** Refused with a code of EC2's; nothing is carried out. */
  | { readonly kind: 'refused'; readonly code: string; readonly status?: number; readonly message?: string }
  /** The connection breaks; nothing is carried out. */
  | { readonly kind: 'reset-before' }
  /** Carried out; the connection breaks before the answer. */
  | { readonly kind: 'reset-after' }
  /** Carried out; the answer is that of a server that stumbled. */
  | { readonly kind: 'stumbled' }
  /** Carried out; no answer ever comes. */
  | { readonly kind: 'silent' }
  /** Carried out; half of the answer comes, then nothing. */
  | { readonly kind: 'stalled' }
  /** Carried out; the connection breaks in the middle of the answer, or the half passes for a whole. */
  | { readonly kind: 'cut'; readonly passesForWhole?: boolean }
  | { readonly kind: 'slow'; readonly ms: number }
  /** CreateFleet gives none, and says why by this code. */
  | { readonly kind: 'empty'; readonly code: string }
  /** RunInstances or CreateFleet gives fewer machines than it was asked for. */
  | { readonly kind: 'partial'; readonly machines: number }
  /** Taken in; the connection breaks, and it is carried out so many milliseconds later all the same. */
  | { readonly kind: 'late'; readonly ms: number }
  /**
   * Calls back before the request is forwarded, or before its answer is, and waits for it; or once the answer is out.
   * 'dropped': it is never carried out, or never answered.
   */
  | {
      readonly kind: 'pause'
      readonly at: 'request' | 'answer' | 'sent'
      readonly then: () => Promise<'dropped' | undefined> | undefined
    }

export interface Ec2Request {
  readonly action: string
  readonly parameters: URLSearchParams
}

export interface Ec2ProxyOptions {
  /** Of the API server behind. */
  readonly target: string
  /** The same client token twice gives the same answer, or IdempotentParameterMismatch. Default: true. */
  readonly keepsTokens?: boolean
  /**
   * How long fresh machines are missing from lists and unknown to terminations, in milliseconds, unless they were asked
   * for again by their token. Default: 0.
   */
  readonly invisibleMs?: number
}

/** What the machines of one launch came to, whatever became of the answers. */
export interface GivenMachines {
  /** As many as were asked for in one call. */
  readonly wanted: number
  /** In the order of their making. */
  readonly ids: string[]
}

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: Buffer
}

export class Ec2Proxy {
  keepsTokens: boolean
  invisibleMs: number
  /** All that came in, in order. */
  readonly requests: Ec2Request[] = []
  /** By `muster:launch`. Nothing is ever taken from it: a launch with more than it wanted was doubled at some moment. */
  readonly given = new Map<string, GivenMachines>()
  /** Asked about each request for which no fault is waiting. */
  mischief: (action: string, parameters: URLSearchParams) => Ec2Fault | undefined = () => undefined
  readonly #target: URL
  readonly #server: Server
  readonly #faults = new Map<string, Ec2Fault[]>()
  readonly #tokens = new Map<string, { readonly request: string; readonly answer: Promise<Answer> }>()
  /** Until when instances are hidden, by id; those of one launch come and go together. */
  readonly #hidden = new Map<string, number>()

  constructor({ target, keepsTokens = true, invisibleMs = 0 }: Ec2ProxyOptions) {
    this.#target = new URL(target)
    this.keepsTokens = keepsTokens
    this.invisibleMs = invisibleMs
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => response.destroy(error as Error))
    })
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async start(): Promise<this> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return this
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  /** The next requests of this action that have no fault yet go wrong so, one each. */
  fault(action: string, ...faults: readonly Ec2Fault[]): void {
    this.#faults.set(action, [...(this.#faults.get(action) ?? []), ...faults])
  }

  /** Launches that were ever given more machines than they wanted. */
  get doubled(): readonly string[] {
    return [...this.given].filter(([, { wanted, ids }]) => ids.length > wanted).map(([launchId]) => launchId)
  }

  /** Whether a launch with this token was taken in: it will not be refused any more. */
  knows(token: string | null): boolean {
    return token !== null && this.#tokens.has(token)
  }

  countOf(action: string): number {
    return this.requests.filter((request) => request.action === action).length
  }

  /** Nothing is hidden any more. */
  show(): void {
    this.#hidden.clear()
  }

  /** Ready for another test: no faults, no memory of requests or tokens. */
  forget(): void {
    this.#faults.clear()
    this.#tokens.clear()
    this.#hidden.clear()
    this.given.clear()
    this.mischief = () => undefined
    this.requests.length = 0
    this.keepsTokens = true
    this.invisibleMs = 0
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const text = (await buffer(request)).toString('utf8')
    const parameters = new URLSearchParams(text)
    const action = parameters.get('Action') ?? ''
    this.requests.push({ action, parameters })
    const fault = this.#faults.get(action)?.shift() ?? this.mischief(action, parameters)
    if (fault?.kind === 'refused') {
      send(response, errorAnswer(fault.code, fault.message ?? 'as the test wants it', fault.status ?? 400))
      return
    }
    if (fault?.kind === 'reset-before') {
      request.socket.resetAndDestroy()
      return
    }
    if (fault?.kind === 'late') request.socket.resetAndDestroy()
    if (fault?.kind === 'pause' && fault.at === 'request' && (await fault.then()) === 'dropped') return
    const answer = await this.#answerOf(request, action, parameters, fault)
    if (fault?.kind === 'late') return
    if (fault?.kind === 'pause' && fault.at === 'answer' && (await fault.then()) === 'dropped') return
    if (fault?.kind === 'slow') await new Promise((resolve) => setTimeout(resolve, fault.ms))
    if (fault?.kind === 'reset-after') request.socket.resetAndDestroy()
    else if (fault?.kind === 'stumbled') send(response, errorAnswer('InternalError', 'it stumbled', 500))
    else if (fault?.kind === 'stalled') sendPart(response, answer)
    else if (fault?.kind === 'cut' && fault.passesForWhole === true) send(response, halfOf(answer))
    else if (fault?.kind === 'cut') sendPart(response, answer, () => request.socket.destroy())
    else if (fault?.kind !== 'silent') send(response, answer)
    if (fault?.kind === 'pause' && fault.at === 'sent') {
      await once(response, 'close')
      await fault.then()
    }
  }

  #answerOf(
    request: IncomingMessage,
    action: string,
    parameters: URLSearchParams,
    fault: Ec2Fault | undefined,
  ): Promise<Answer> {
    if (fault?.kind === 'empty') return Promise.resolve(emptyFleet(fault.code))
    if (action === 'RunInstances' || action === 'CreateFleet') return this.#run(request, parameters, fault)
    if (action === 'DescribeInstances') return this.#describe(request, parameters)
    if (action === 'TerminateInstances') return this.#terminate(request, parameters)
    return this.#forward(request, parameters)
  }

  #run(request: IncomingMessage, parameters: URLSearchParams, fault: Ec2Fault | undefined): Promise<Answer> {
    const machines = fault?.kind === 'partial' ? fault.machines : undefined
    const token = parameters.get('ClientToken')
    const text = parameters.toString()
    const forwarded = new URLSearchParams(parameters)
    const isFleet = parameters.get('Action') === 'CreateFleet'
    const wanted = parameters.get(isFleet ? fleetCount : 'MaxCount')
    const count = String(machines ?? wanted)
    // Moto launches as many as must be, EC2 as many as may be.
    for (const name of isFleet ? [fleetCount] : ['MinCount', 'MaxCount']) forwarded.set(name, count)
    const isKept = this.keepsTokens && token !== null && parameters.get('DryRun') !== 'true'
    const known = isKept ? this.#tokens.get(token) : undefined
    if (known !== undefined) {
      if (known.request === digest(text)) {
        return known.answer.then((done) => {
          for (const id of instancesOf(done.body.toString('utf8'))) this.#hidden.delete(id)
          return done
        })
      }
      const words =
        'Arguments on this idempotent request are inconsistent with arguments used in previous request(s).'
      return Promise.resolve(errorAnswer('IdempotentParameterMismatch', words, 400))
    }
    const dueMs = fault?.kind === 'late' ? fault.ms : 0
    const answer = this.#forward(request, forwarded, dueMs).then((done) => {
      if (done.status === 200) {
        this.#hide(done)
        this.#note(launchTagOf(parameters), Number(wanted), done)
      } else if (token !== null) this.#tokens.delete(token)
      return done
    })
    if (isKept) this.#tokens.set(token, { request: digest(text), answer })
    return answer
  }

  #note(launchId: string, wanted: number, { body }: Answer): void {
    const given = this.given.get(launchId) ?? { wanted, ids: [] }
    given.ids.push(...instancesOf(body.toString('utf8')))
    this.given.set(launchId, given)
  }

  #hide({ body }: Answer): void {
    if (this.invisibleMs === 0) return
    const until = Date.now() + this.invisibleMs
    for (const id of instancesOf(body.toString('utf8'))) this.#hidden.set(id, until)
  }

  #isHidden(id: string): boolean {
    return (this.#hidden.get(id) ?? 0) > Date.now()
  }

  async #describe(request: IncomingMessage, parameters: URLSearchParams): Promise<Answer> {
    const answer = await this.#forward(request, parameters)
    const [head = '', ...reservations] = answer.body.toString('utf8').split(/(?=<item>\s*<reservationId>)/)
    const last = reservations.pop()
    const [final = '', tail = ''] = last?.split(/(?=<\/reservationSet>)/) ?? []
    const shown = [...reservations, final].filter(
      (text) => !instancesOf(text).some((id) => this.#isHidden(id)),
    )
    return { ...answer, body: Buffer.from(head + shown.join('') + tail) }
  }

  #terminate(request: IncomingMessage, parameters: URLSearchParams): Promise<Answer> {
    const hidden = [...parameters]
      .filter(([name]) => name.startsWith('InstanceId.'))
      .find(([, id]) => this.#isHidden(id))
    if (hidden === undefined) return this.#forward(request, parameters)
    const words = `The instance ID '${hidden[1]}' does not exist`
    return Promise.resolve(errorAnswer('InvalidInstanceID.NotFound', words, 400))
  }

  async #forward(request: IncomingMessage, parameters: URLSearchParams, dueMs = 0): Promise<Answer> {
    if (dueMs > 0) await new Promise((resolve) => setTimeout(resolve, dueMs))
    const body = Buffer.from(parameters.toString())
    const { connection: _, 'content-length': __, ...headers } = request.headers
    const outgoing = httpRequest(this.#target, {
      method: 'POST',
      headers: { ...headers, 'content-length': body.length },
      agent: false,
    })
    outgoing.end(body)
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    return {
      status: response.statusCode ?? 0,
      type: response.headers['content-type'] ?? 'text/xml',
      body: await buffer(response),
    }
  }
}

const fleetCount = 'TargetCapacitySpecification.TotalTargetCapacity'

/** Ids, in an answer of EC2's: of RunInstances and DescribeInstances, or of CreateFleet. */
function instancesOf(text: string): readonly string[] {
  const found = text.matchAll(/<instanceId>([^<]+)<|<item>(i-[0-9a-f]+)</g)
  return [...new Set(Array.from(found, ([, id, idOfFleet]) => id ?? idOfFleet ?? ''))]
}

function emptyFleet(code: string): Answer {
  const error = `<item><errorCode>${code}</errorCode><errorMessage>as the test wants it</errorMessage></item>`
  const body =
    `<CreateFleetResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>proxy</requestId>` +
    `<fleetId>fleet-of-nothing</fleetId><errorSet>${error}</errorSet></CreateFleetResponse>`
  return { status: 200, type: 'text/xml', body: Buffer.from(body) }
}

function launchTagOf(parameters: URLSearchParams): string {
  const [name] = [...parameters].find(([, value]) => value === 'muster:launch') ?? []
  return parameters.get(name?.replace(/Key$/, 'Value') ?? '') ?? ''
}

function errorAnswer(code: string, message: string, status: number): Answer {
  const error = `<Error><Code>${code}</Code><Message>${message}</Message></Error>`
  const body = `<?xml version="1.0"?><Response><Errors>${error}</Errors><RequestID>proxy</RequestID></Response>`
  return { status, type: 'text/xml', body: Buffer.from(body) }
}

function send(response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, { 'content-type': type, 'content-length': body.length })
  response.end(body)
}

function sendPart(response: ServerResponse, answer: Answer, then?: () => void): void {
  const { status, type, body } = answer
  response.writeHead(status, { 'content-type': type, 'content-length': body.length })
  response.write(halfOf(answer).body, then === undefined ? () => undefined : then)
}

function halfOf(answer: Answer): Answer {
  return { ...answer, body: answer.body.subarray(0, Math.floor(answer.body.length / 2)) }
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
