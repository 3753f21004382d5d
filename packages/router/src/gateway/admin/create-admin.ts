import type { IncomingMessage, ServerResponse } from 'node:http'
import { KvFleetError, parseOptions, toKvFleetError } from '@kvfleet/core'
import * as v from 'valibot'
import type { Router } from '../../router.js'
import { adminDefaults } from '../defaults.js'
import { type CloseOptions, HttpListener, type ListenOptions } from '../http-listener.js'
import { byteCount, closeSchema, listenSchema } from '../options.js'
import { readBody } from '../read-body.js'
import { sendError, sendJson } from '../response-writer.js'
import { createAdminRoutes } from './admin-routes.js'

export interface AdminOptions {
  readonly router: Router
  /** Default: 1 MiB. */
  readonly maxBodyBytes?: number
}

/** The admin API: adding, draining and removing workers over HTTP. It has no access control: keep it on a private address. */
export interface Admin extends AsyncDisposable {
  /** Resolves with the admin API itself when it listens; rejects with LISTEN_FAILED. */
  listen(options: ListenOptions): Promise<Admin>
  readonly url: string | undefined
  close(options?: CloseOptions): Promise<void>
}

const schema = v.strictObject({ router: v.unknown(), maxBodyBytes: v.optional(byteCount, adminDefaults.maxBodyBytes) })

export function createAdmin(options: AdminOptions): Admin {
  const { maxBodyBytes } = parseOptions('createAdmin', schema, options)
  const { router } = options
  const answer = createAdminRoutes(router)

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readBody(request, maxBodyBytes)
    const { method = 'GET', url: path = '/' } = request
    // Put together, not resolved: `//workers` is a path here, not a host.
    const address = `http://admin${path}`
    if (!URL.canParse(address)) throw new KvFleetError('NOT_FOUND', `no route ${method} ${path}`)
    const { status, value } = await answer({ method, url: new URL(address), body })
    sendJson(response, status, value)
  }
  const listener = new HttpListener('admin API', router.fleet.clock, (request, response) => {
    handle(request, response).catch(error => sendError(response, toKvFleetError(error, 'INTERNAL', 'admin')))
  })

  const admin: Admin = {
    async listen(address) {
      await listener.listen(parseOptions('admin.listen', listenSchema, address))
      return admin
    },
    get url() {
      return listener.url
    },
    async close(closeOptions) {
      const { graceMs } = parseOptions('admin.close', closeSchema, closeOptions)
      await listener.close(graceMs === undefined ? {} : { graceMs })
    },
    [Symbol.asyncDispose]: () => admin.close(),
  }
  return admin
}
