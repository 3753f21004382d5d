export { createMetrics, type Metrics, type MetricsOptions } from './create-metrics.js'
export { type MetricDefinition, metricDefinitions } from './metric-definitions.js'
