const STYLE = `
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b2733; background: #fff; }
  h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; } a { color: #0b5cad; }
  code { font: 0.9em ui-monospace, monospace; background: #f0f3f6; padding: 0.1em 0.3em; border-radius: 3px; }
  details { border-bottom: 1px solid #dde3e9; padding: 0.35rem 0; } summary { cursor: pointer; }
  .method { display: inline-block; min-width: 4.5em; font-weight: 600; } .muted { color: #5b6b7a; }
  table { border-collapse: collapse; margin: 0.5rem 0; } td, th { text-align: left; padding: 0.15rem 1rem 0.15rem 0; vertical-align: top; }
  @media (prefers-color-scheme: dark) {
    body { color: #dde6ee; background: #14191f; } a { color: #7fb8f0; } code { background: #232b34; } details { border-color: #2b3540; }
    .muted { color: #93a3b1; }
  }`;

/** A whole HTML page without outside assets. `body` is HTML. */
export function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style>${STYLE}</style></head>
<body>
${body}
</body>
</html>
`;
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
