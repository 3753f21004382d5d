const marker = /<!-- generated: ([\w-]+) -->\n/g
const end = '<!-- /generated -->'

/** What the code says, by the name of the section that a page holds for it. */
export type Sections = ReadonlyMap<string, () => string | Promise<string>>

/** The page with every `<!-- generated: name -->` … `<!-- /generated -->` filled. Throws for a name that nothing stands behind. */
export async function fillSections(page: string, text: string, sections: Sections): Promise<string> {
  let result = ''
  let from = 0
  for (const match of text.matchAll(marker)) {
    const [opening, name = ''] = match
    const generate = sections.get(name)
    const to = text.indexOf(end, match.index)
    if (generate === undefined)
      throw new Error(`${page}: no generator for the section "${name}"; there are ${[...sections.keys()].join(', ')}`)
    if (to === -1) throw new Error(`${page}: the section "${name}" has no ${end}`)
    result += `${text.slice(from, match.index)}${opening}\n${(await generate()).trim()}\n\n`
    from = to
  }
  return result + text.slice(from)
}
