export { type Admin, type AdminOptions, createAdmin } from './admin/create-admin.js'
export { createGateway } from './create-gateway.js'
export type { Gateway, GatewayOptions } from './gateway.js'
export type { CloseOptions, ListenOptions } from './http-listener.js'
