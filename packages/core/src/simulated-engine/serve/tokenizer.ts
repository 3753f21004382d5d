/** A turn of a chat; content parts other than text are not seen. */
export interface ChatMessage {
  readonly role: string
  readonly content: string
}

/**
 * Text to ids and back without a model. An id is rendered as ` w` and its decimal digits, and that text gives the id
 * again, so a conversation that carries earlier answers has their exact ids. Any other text falls into pieces (a run of
 * letters and digits with the space before it, or one other character), each hashed to an id; those do not come back
 * as what they were.
 */
export interface SimulatedTokenizer {
  encode(text: string): Uint32Array
  /** Each turn is its role's marker, its text and an end marker; an open turn of the assistant follows. */
  encodeChat(messages: readonly ChatMessage[]): Uint32Array
  decode(ids: ArrayLike<number>): string
  render(id: number): string
}

const PIECE = / w(0|[1-9]\d{0,9})(?![\p{L}\p{N}])| ?[\p{L}\p{N}]+|[\s\S]/gu

export function createSimulatedTokenizer(vocabularySize: number): SimulatedTokenizer {
  const encodeInto = (ids: number[], text: string) => {
    for (const match of text.matchAll(PIECE)) {
      const id = match[1] === undefined ? Number.NaN : Number(match[1])
      ids.push(id < vocabularySize ? id : hash(match[0]) % vocabularySize)
    }
  }
  const render = (id: number) => ` w${id}`
  return {
    encode(text) {
      const ids: number[] = []
      encodeInto(ids, text)
      return Uint32Array.from(ids)
    },
    encodeChat(messages) {
      const ids: number[] = []
      for (const { role, content } of messages) {
        ids.push(hash(`<|${role}|>`) % vocabularySize)
        encodeInto(ids, content)
        ids.push(hash('<|end|>') % vocabularySize)
      }
      ids.push(hash('<|assistant|>') % vocabularySize)
      return Uint32Array.from(ids)
    },
    decode: ids => Array.from(ids, render).join(''),
    render,
  }
}

/** FNV-1a over UTF-16 units. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  return (value ^ (value >>> 15)) >>> 0
}
