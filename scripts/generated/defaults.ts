import ts from 'typescript'
import { table } from './table.js'

export interface DefaultValue {
  readonly name: string
  readonly value: string
  readonly reason: string
}

/** The exported constants of a `defaults.ts` with the comment above each: the reason for the value. */
export function readDefaults(file: string, text: string): DefaultValue[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ESNext, true)
  const found: DefaultValue[] = []
  const add = (name: string, node: ts.Node, initializer: ts.Expression) => {
    const value = withoutAssertion(initializer)
    if (!ts.isObjectLiteralExpression(value)) {
      found.push({ name, value: value.getText(source), reason: commentOf(node) })
      return
    }
    for (const property of value.properties) {
      if (ts.isPropertyAssignment(property)) add(`${name}.${property.name.getText(source)}`, property, property.initializer)
    }
  }
  for (const statement of source.statements) {
    if (!ts.isVariableStatement(statement)) continue
    for (const { name, initializer } of statement.declarationList.declarations) {
      if (initializer !== undefined) add(name.getText(source), statement, initializer)
    }
  }
  return found
}

export function defaultsTable(values: readonly DefaultValue[]): string {
  return table(
    ['name', 'value', 'reason'],
    values.map(({ name, value, reason }) => [`\`${name}\``, `\`${value}\``, reason]),
  )
}

function withoutAssertion(expression: ts.Expression): ts.Expression {
  return ts.isAsExpression(expression) || ts.isSatisfiesExpression(expression) ? withoutAssertion(expression.expression) : expression
}

function commentOf(node: ts.Node): string {
  return ts
    .getJSDocCommentsAndTags(node)
    .map(comment => ts.getTextOfJSDocComment(comment.comment) ?? '')
    .join(' ')
    .replace(/\s+/g, ' ')
    .trim()
}
