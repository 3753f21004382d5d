type Attributes = Readonly<Record<string, string | number | undefined>>

/** One element as text; attributes that are undefined are left out, numbers are rounded to 0.01. */
export function element(name: string, attributes: Attributes, ...children: readonly string[]): string {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${typeof value === 'number' ? coordinate(value) : escapeMarkup(String(value))}"`)
    .join('')
  return children.length === 0 ? `<${name}${written}/>` : `<${name}${written}>${children.join('')}</${name}>`
}

export function escapeMarkup(text: string): string {
  return text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
}

/** A path through the points; a point of NaN leaves a gap. */
export function linePath(points: readonly (readonly [x: number, y: number])[]): string {
  let pen = false
  let path = ''
  for (const [x, y] of points) {
    if (Number.isNaN(x) || Number.isNaN(y)) pen = false
    else {
      path += `${pen ? 'L' : 'M'}${coordinate(x)} ${coordinate(y)}`
      pen = true
    }
  }
  return path
}

function coordinate(value: number): number {
  return Math.round(value * 100) / 100
}
