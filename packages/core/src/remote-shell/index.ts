export { type LocalShellOptions, localShell } from './local-shell.js'
export type * from './remote-shell.js'
