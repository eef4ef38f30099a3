/** The page that asks for the token: small, without scripts, in the colours of the dashboard. */
import { createHash } from 'node:crypto'
import { securityHeaders } from './headers.ts'

const style = `
:root { color-scheme: light dark; --text: #1a1b1e; --soft: #5c5f66; --ground: #f8f9fa; --card: #fff; --line: #ced4da;
  --blue: #1c7ed6; --red: #c92a2a; }
@media (prefers-color-scheme: dark) { :root { --text: #e9ecef; --soft: #a6a7ab; --ground: #1a1b1e; --card: #25262b;
  --line: #4b4e54; --blue: #1971c2; --red: #ff8787; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 16px; color: var(--text);
  background: var(--ground); font: 16px/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 26rem; padding: 24px; border: 1px solid var(--line); border-radius: 8px;
  background: var(--card); }
h1 { margin: 0 0 8px; font-size: 20px; line-height: 1.3; }
p { margin: 0 0 16px; }
.soft { margin: 16px 0 0; color: var(--soft); font-size: 14px; }
.fault { color: var(--red); font-weight: 600; }
label { display: block; margin-bottom: 4px; font-size: 14px; font-weight: 600; }
input { width: 100%; padding: 8px 12px; border: 1px solid var(--line); border-radius: 4px; color: inherit;
  background: var(--ground); font: inherit; }
button { width: 100%; margin-top: 12px; padding: 8px 12px; border: 0; border-radius: 4px; color: #fff;
  background: var(--blue); font: inherit; font-weight: 600; cursor: pointer; }
:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; }
code { overflow-wrap: anywhere; font-size: 13px; }
`
const styleHash = createHash('sha256').update(style).digest('base64')

export const loginHeaders = {
  ...securityHeaders,
  'content-security-policy': [
    "default-src 'none'",
    `style-src 'sha256-${styleHash}'`,
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; '),
  'content-type': 'text/html; charset=utf-8',
} as const

/** `next`: where to go on, a path below the base path. `fault`: what was wrong with what was shown, if anything was. */
export function loginPage(basePath: string, next: string, fault: string | null): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Rankscope: token</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>Rankscope asks for its token</h1>
${fault === null ? '' : `<p class="fault" role="alert">${escaped(fault)}</p>\n`}<p>Open the address that the server printed when it started, or enter the token from it.</p>
<form method="post" action="${escaped(basePath)}login">
<input type="hidden" name="next" value="${escaped(next)}">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Continue</button>
</form>
<p class="soft">It is also kept in the server’s data folder, in the file <code>browser-token</code>.</p>
</main>
</body>
</html>
`
}

function escaped(text: string): string {
  const entities: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  }
  return text.replace(/[&<>"']/g, (character) => entities[character]!)
}
