export * from './decision.js'
export * from './policy.js'
export * from './router.js'
export * from './routing-request.js'
