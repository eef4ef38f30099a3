/** Where the server’s pages lie below its host: `/`, or what `--base-path` says. The server writes it into the page. */
export const basePath: string =
  globalThis.document?.querySelector<HTMLMetaElement>('meta[name="base-path"]')?.content ?? '/'
