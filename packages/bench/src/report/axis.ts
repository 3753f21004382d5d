/** Maps values to places on a line, with ticks at round values. */
export interface Axis {
  readonly min: number
  readonly max: number
  /** 0 at `min`, 1 at `max`; values outside are clamped. */
  place(value: number): number
  readonly ticks: readonly number[]
}

/** Ticks at 1, 2 or 5 times a power of ten, about `count` of them; the axis ends on ticks. */
export function linearAxis(min: number, max: number, count = 5): Axis {
  const span = max > min ? max - min : Math.max(Math.abs(max), 1)
  return steppedAxis(min, span, roundStep(span / count))
}

/** For times in ms: ticks at round seconds, minutes or hours. */
export function timeAxis(min: number, max: number, count = 8): Axis {
  const span = Math.max(1, max - min)
  const step = TIME_STEPS_MS.find(candidate => span / candidate <= count) ?? roundStep(span / count / 3_600_000) * 3_600_000
  const usual = steppedAxis(min, span, span < 1000 ? roundStep(span / count) : step)
  return { ...usual, ticks: usual.ticks.filter(tick => tick <= max), ...between(min, max) }
}

const MOST_LOGARITHMIC_TICKS = 8

/** Logarithmic; ticks at 1, 2, 5 of each decade, or at fewer multiples when those are too many to read. */
export function logarithmicAxis(min: number, max: number): Axis {
  const low = Math.max(min, Number.MIN_VALUE)
  const high = Math.max(max, low * 10)
  const candidates = [[1, 2, 5], [1, 3], [1]].map(multiples => logarithmicTicks(low, high, multiples))
  const ticks = candidates.find(list => list.length <= MOST_LOGARITHMIC_TICKS) ?? (candidates.at(-1) as number[])
  const span = Math.log(high / low)
  return { min: low, max: high, ticks, place: value => clamp(Math.log(Math.max(value, low) / low) / span) }
}

function logarithmicTicks(low: number, high: number, multiples: readonly number[]): number[] {
  const ticks: number[] = []
  for (let decade = Math.floor(Math.log10(low)); decade <= Math.log10(high); decade++) {
    for (const multiple of multiples) {
      const tick = Number((multiple * 10 ** decade).toPrecision(6))
      if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick)
    }
  }
  return ticks
}

const TIME_STEPS_MS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400].map(seconds => seconds * 1000)

function steppedAxis(min: number, span: number, step: number): Axis {
  const first = Math.floor(min / step)
  const last = Math.ceil((min + span) / step - 1e-9)
  const ticks = Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)))
  return { ...between(first * step, last * step), ticks }
}

function between(min: number, max: number): Omit<Axis, 'ticks'> {
  const span = max > min ? max - min : 1
  return { min, max, place: value => clamp((value - min) / span) }
}

function roundStep(raw: number): number {
  const power = 10 ** Math.floor(Math.log10(raw))
  const multiple = [1, 2, 5, 10].find(candidate => raw <= candidate * power * 1.0001) ?? 10
  return multiple * power
}

function clamp(share: number): number {
  return Math.min(1, Math.max(0, share))
}
