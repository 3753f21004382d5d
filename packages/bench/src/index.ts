export * from './metrics/request-record.js'
export * from './workload/trace.js'
