/** Defaults of the gateway and its admin API, each with its reason. */
export const gatewayDefaults = {
  /** Whoever opens it to a network says so. */
  host: '127.0.0.1',
  /** A prompt of a million tokens is about 5 MB of text; images in base64 take the rest. */
  maxBodyBytes: 64 * 1024 * 1024,
  /** Longer than the 60 s after which common load balancers drop idle connections: the side that reuses one should close first. */
  keepAliveMs: 75_000,
  /** After the grace has passed, this long for last words (an error event) to reach slow clients. */
  lastWordsMs: 1_000,
} as const

export const adminDefaults = {
  /** It has no access control of its own. */
  host: '127.0.0.1',
  /** A worker with all its options is a few kB. */
  maxBodyBytes: 1024 * 1024,
  /** Workers that failed to join or left: what happened stays readable for the last so many. */
  rememberedDepartures: 100,
} as const
