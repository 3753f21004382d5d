/** Writes MessagePack in the forms vLLM's encoder chooses: shortest integers and headers, 64-bit floats. */
export class MessagePackWriter {
  #buffer = Buffer.allocUnsafe(4096)
  #length = 0

  /** What was written so far; the writer starts anew. */
  take(): Buffer {
    const bytes = Buffer.from(this.#buffer.subarray(0, this.#length))
    this.#length = 0
    return bytes
  }

  nil(): void {
    this.#byte(0xc0)
  }

  float(value: number): void {
    this.#byte(0xcb)
    this.#reserve(8)
    this.#length = this.#buffer.writeDoubleBE(value, this.#length)
  }

  unsigned(value: number): void {
    if (value < 0x80) this.#byte(value)
    else if (value < 0x100) {
      this.#byte(0xcc)
      this.#byte(value)
    } else if (value < 0x1_0000) {
      this.#byte(0xcd)
      this.#reserve(2)
      this.#length = this.#buffer.writeUInt16BE(value, this.#length)
    } else {
      this.#byte(0xce)
      this.#reserve(4)
      this.#length = this.#buffer.writeUInt32BE(value, this.#length)
    }
  }

  /** An unsigned 64-bit integer of two words. */
  unsigned64(high: number, low: number): void {
    if (high === 0) return this.unsigned(low)
    this.#byte(0xcf)
    this.#reserve(8)
    this.#length = this.#buffer.writeUInt32BE(high, this.#length)
    this.#length = this.#buffer.writeUInt32BE(low, this.#length)
  }

  text(value: string): void {
    const length = Buffer.byteLength(value)
    if (length < 0x20) this.#byte(0xa0 | length)
    else this.#header(length, 0xd9, 0xda, 0xdb)
    this.#reserve(length)
    this.#length += this.#buffer.write(value, this.#length)
  }

  bytes(value: Uint8Array): void {
    this.#header(value.length, 0xc4, 0xc5, 0xc6)
    this.#reserve(value.length)
    this.#buffer.set(value, this.#length)
    this.#length += value.length
  }

  array(length: number): void {
    if (length < 0x10) this.#byte(0x90 | length)
    else this.#header(length, undefined, 0xdc, 0xdd)
  }

  /** At most 15 entries: no event has more. */
  map(entries: number): void {
    this.#byte(0x80 | entries)
  }

  #header(length: number, short: number | undefined, medium: number, long: number): void {
    this.#reserve(5)
    if (short !== undefined && length < 0x100) {
      this.#byte(short)
      this.#byte(length)
    } else if (length < 0x1_0000) {
      this.#byte(medium)
      this.#length = this.#buffer.writeUInt16BE(length, this.#length)
    } else {
      this.#byte(long)
      this.#length = this.#buffer.writeUInt32BE(length, this.#length)
    }
  }

  #byte(value: number): void {
    this.#reserve(1)
    this.#buffer[this.#length++] = value
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(2 * this.#buffer.length + bytes)
    larger.set(this.#buffer.subarray(0, this.#length))
    this.#buffer = larger
  }
}
