/** What arrives and waits, over one window. Scaling policies read it; they never look at workers. */
export interface Demand {
  /** The clock's milliseconds at the window's end. */
  readonly at: number
  readonly windowMs: number
  readonly arrivedRequests: number
  readonly arrivedPromptTokens: number
  /** Prompt tokens that no cache covered. */
  readonly arrivedUncachedTokens: number
  readonly completedRequests: number
  readonly outputTokens: number
  /** At the window's end: requests held back by the router and requests without a first token. */
  readonly queuedRequests: number
  readonly waitingRequests: number
  readonly waitingPrefillTokens: number
  readonly runningRequests: number
  /** Requests of the window that missed an SLO, and how many were judged. */
  readonly sloMisses: number
  readonly sloJudged: number
}
