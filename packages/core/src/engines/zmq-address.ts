import { unfit } from './engine-http.js'

const WILDCARDS = new Set(['*', '0.0.0.0', '::', '[::]', '[*]'])

/**
 * A ZMQ address as somebody on another machine connects to it: hosts that only mean "every interface" become the
 * host of the engine's URL. Addresses of other transports stay.
 */
export function connectAddress(address: string, engineUrl: string, path: string): string {
  if (!address.startsWith('tcp://')) {
    if (/^(ipc|inproc):\/\/./.test(address)) return address
    throw unfit(path, 'expected a ZMQ address such as tcp://*:5557')
  }
  const colon = address.lastIndexOf(':')
  const host = address.slice('tcp://'.length, colon)
  const port = Number(address.slice(colon + 1))
  if (host === '' || !Number.isInteger(port) || port < 1 || port > 65_535) throw unfit(path, 'expected a ZMQ address such as tcp://*:5557')
  // URL keeps the brackets of an IPv6 host, and so does ZMQ.
  return `tcp://${WILDCARDS.has(host) ? new URL(engineUrl).hostname : host}:${port}`
}
