import { errorMessage, KvFleetError } from '../../errors.js'

export type ZeroMq = typeof import('zeromq')

/** The optional peer, loaded when the first endpoint is opened. */
export async function loadZeromq(): Promise<ZeroMq> {
  try {
    return await import('zeromq')
  } catch (error) {
    throw new KvFleetError(
      'DEPENDENCY_MISSING',
      `zeromqKvEvents() needs the package "zeromq" (npm install zeromq): ${errorMessage(error)}`,
      {
        details: { package: 'zeromq' },
        cause: error,
      },
    )
  }
}
