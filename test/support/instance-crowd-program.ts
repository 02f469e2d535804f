/**
 * An EC2 API server with a crowd of instances that knows one request, DescribeInstances, and answers page by page with
 * about as much as EC2 says of an instance (3 KB). Prints its port, then the size of each page. A process of its own, so that what it costs is not
 * taken for the reader's.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

const [count = '10000', fleetId = 'fleet-1', regionId = 'aws/us-east-1'] = process.argv.slice(2)
const padding = Array.from(
  { length: 60 },
  (_, at) => `<key${at}>value ${at} of something EC2 tells</key${at}>`,
).join('')

const tag = (key: string, value: string) => `<item><key>${key}</key><value>${value}</value></item>`
const instance = (at: number) =>
  `<item><reservationId>r-${at}</reservationId><instancesSet><item>` +
  `<instanceId>i-${at.toString(16).padStart(17, '0')}</instanceId><launchTime>2026-11-21T12:00:00.000Z</launchTime>` +
  `<instanceState><code>16</code><name>running</name></instanceState>${padding}<tagSet>` +
  tag('muster:fleet', fleetId) +
  tag('muster:region', regionId) +
  tag('muster:launch', `launch-${Math.floor(at / 50)}`) +
  `</tagSet></item></instancesSet></item>`

const server = createServer((request, response) => {
  void text(request).then((body) => {
    const parameters = new URLSearchParams(body)
    const size = Number(parameters.get('MaxResults') ?? count)
    const start = Number(parameters.get('NextToken') ?? 0)
    const end = Math.min(start + size, Number(count))
    const items = Array.from({ length: end - start }, (_, at) => instance(start + at)).join('')
    console.log(end - start)
    const next = end < Number(count) ? `<nextToken>${end}</nextToken>` : ''
    response.writeHead(200, { 'content-type': 'text/xml' })
    response.end(
      `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>` +
        `<reservationSet>${items}</reservationSet>${next}</DescribeInstancesResponse>`,
    )
  })
})
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))
// It ends with its parent.
process.stdin.resume().on('end', () => process.exit())
