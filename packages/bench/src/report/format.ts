/** Figures for people: three significant digits, units next to them. */

/** `-` for what was not measured. */
export function formatNumber(value: number | null | undefined, digits = 3): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '-'
  if (value === 0) return '0'
  const magnitude = Math.floor(Math.log10(Math.abs(value)))
  const decimals = Math.min(6, Math.max(0, digits - 1 - magnitude))
  return groupThousands(value.toFixed(decimals))
}

/** Milliseconds below a second, then seconds, then minutes. */
export function formatDuration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return '-'
  const size = Math.abs(ms)
  if (size < 999.5) return `${formatNumber(ms)} ms`
  if (size < 119_950) return `${formatNumber(ms / 1000)} s`
  return `${formatNumber(ms / 60_000)} min`
}

/** Labels of an axis of times: one unit for all of them, no digits that say nothing. */
export function durationTicks(maxMs: number): (ms: number) => string {
  const [size, unit] = maxMs < 1000 ? [1, 'ms'] : maxMs < 120_000 ? [1000, 's'] : [60_000, 'min']
  return ms => (ms === 0 ? '0' : `${Number((ms / size).toPrecision(6))} ${unit}`)
}

/** Labels of a logarithmic axis of times: each in the unit that suits it. */
export function durationTick(ms: number): string {
  return durationTicks(ms)(ms)
}

export function formatShare(share: number | null | undefined): string {
  return share === null || share === undefined || Number.isNaN(share) ? '-' : `${(share * 100).toFixed(1)} %`
}

export function formatCount(count: number): string {
  return groupThousands(String(Math.round(count)))
}

function groupThousands(text: string): string {
  const [whole = '', fraction] = text.split('.')
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',')
  return fraction === undefined ? grouped : `${grouped}.${fraction}`
}
