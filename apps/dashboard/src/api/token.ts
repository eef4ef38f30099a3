/** The access token: taken from `?token=` of the printed address once, then kept by this browser. */
const storageKey = 'rankscope.token'

export function readToken(): string | null {
  const url = new URL(window.location.href)
  const given = url.searchParams.get('token')
  if (given !== null) {
    localStorage.setItem(storageKey, given)
    url.searchParams.delete('token')
    window.history.replaceState(window.history.state, '', url)
  }
  return localStorage.getItem(storageKey)
}

export function storeToken(token: string): void {
  localStorage.setItem(storageKey, token)
}
