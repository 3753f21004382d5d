import type { Sequence } from './sequence.js'

/** First come, first served; whoever was preempted stands in front. Aborted requests leave when they reach the front. */
export class WaitingQueue {
  #items: (Sequence | undefined)[] = []
  #head = 0
  #size = 0

  /** Requests that wait, aborted ones not counted. */
  get size(): number {
    return this.#size
  }

  first(): Sequence | undefined {
    while (this.#head < this.#items.length) {
      const sequence = this.#items[this.#head] as Sequence
      if (sequence.finish === undefined) return sequence
      this.#dropHead()
    }
    return undefined
  }

  add(sequence: Sequence): void {
    this.#items.push(sequence)
    this.#size++
  }

  putFirst(sequence: Sequence): void {
    if (this.#head > 0) this.#items[--this.#head] = sequence
    else this.#items.unshift(sequence)
    this.#size++
  }

  /** Takes out what `first()` gave. */
  removeFirst(): void {
    this.#dropHead()
    this.#size--
  }

  /** A waiting request was given a `finish`: it no longer counts. */
  leave(): void {
    this.#size--
  }

  *[Symbol.iterator](): Iterator<Sequence> {
    for (let index = this.#head; index < this.#items.length; index++) {
      const sequence = this.#items[index] as Sequence
      if (sequence.finish === undefined) yield sequence
    }
  }

  #dropHead(): void {
    this.#items[this.#head++] = undefined
    if (this.#head > 1024 && 2 * this.#head > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
  }
}
