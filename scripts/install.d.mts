export function nodeTooOld(version: string): string | undefined
export function installReason(root: string): string | undefined
export function ensureInstalled(root: string): number
