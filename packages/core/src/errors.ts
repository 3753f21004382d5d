import type { ErrorCode } from './error-codes.js'

/** Shared through the global symbol registry, so that instances of a second package copy are recognised. */
const BRAND = Symbol.for('kvfleet.error')

export interface KvFleetErrorOptions {
  /** Field, value, expectation: whatever a program needs to react. JSON values only; never credentials or prompt text. */
  readonly details?: Readonly<Record<string, unknown>>
  readonly cause?: unknown
  /** True when the same call may succeed later or elsewhere. Default: false. */
  readonly retryable?: boolean
}

/** The one error class of kvfleet. Programs branch on `code`; people read `message`. */
export class KvFleetError extends Error {
  readonly code: ErrorCode
  readonly details: Readonly<Record<string, unknown>>
  readonly retryable: boolean

  constructor(code: ErrorCode, message: string, options: KvFleetErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'KvFleetError'
    this.code = code
    this.details = options.details ?? {}
    this.retryable = options.retryable ?? false
    Object.defineProperty(this, BRAND, { value: true })
  }

  /** True for errors of any copy of this package. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[BRAND] === true
  }

  static is(value: unknown, code?: ErrorCode): value is KvFleetError {
    return value instanceof KvFleetError && (code === undefined || value.code === code)
  }

  toJSON(): { code: ErrorCode; message: string; retryable: boolean; details: Readonly<Record<string, unknown>> } {
    return { code: this.code, message: this.message, retryable: this.retryable, details: this.details }
  }
}

/** The message of anything that was thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The error as a KvFleetError: itself, an abort as `ABORTED`, or wrapped under `code`. */
export function toKvFleetError(error: unknown, code: ErrorCode, context: string, options: KvFleetErrorOptions = {}): KvFleetError {
  if (KvFleetError.is(error)) return error
  if (error instanceof Error && error.name === 'AbortError') {
    return new KvFleetError('ABORTED', `${context}: aborted`, { ...options, cause: error })
  }
  return new KvFleetError(code, `${context}: ${errorMessage(error)}`, { ...options, cause: error })
}
