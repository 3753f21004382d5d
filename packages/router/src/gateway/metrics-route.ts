import type { ServerResponse } from 'node:http'
import { type Fleet, KvFleetError } from '@kvfleet/core'
import type { Metrics } from '@kvfleet/core/prometheus'
import { sendError } from './response-writer.js'

/** The fleet's metrics when prom-client is installed, else undefined. */
export async function loadMetrics(fleet: Fleet): Promise<Metrics | undefined> {
  try {
    const { createMetrics } = await import('@kvfleet/core/prometheus')
    return createMetrics({ fleet })
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ERR_MODULE_NOT_FOUND') return undefined
    throw error
  }
}

export async function sendMetrics(response: ServerResponse, metrics: Metrics | undefined): Promise<void> {
  if (metrics === undefined) {
    return sendError(response, new KvFleetError('DEPENDENCY_MISSING', '/metrics needs the package prom-client: npm install prom-client'))
  }
  response.writeHead(200, { 'content-type': metrics.contentType }).end(await metrics.text())
}
