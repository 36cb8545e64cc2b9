/**
 * Storage calls of the original that do not exist here yet. They answer 501, which clients take as a final answer;
 * with 404 they would conclude that the object is missing. Paths are relative to `/v2/storage`, without branch prefix.
 * Whoever builds one deletes its line.
 */
export const NOT_BUILT: readonly (readonly [methods: string, pattern: string])[] = [
  ['GET POST', '/dev-branches'],
  ['GET PUT DELETE', '/dev-branches/:branch'],
  ['GET POST', '/components/:component/configs/:configuration/metadata'],
  ['DELETE', '/components/:component/configs/:configuration/metadata/:metadata'],
  ['GET POST', '/components/:component/configs/:configuration/workspaces'],
  ['GET', '/components/:component/configs/:configuration/diff'],
  ['POST', '/components/:component/configs/:configuration/rebase'],
];

const compiled = new Map<string, RegExp>();

/** Whether the method and path (no query) belong to a known call that is not built. */
export function isNotBuilt(method: string, path: string): boolean {
  return NOT_BUILT.some(([methods, pattern]) => methods.split(' ').includes(method) && toRegExp(pattern).test(path));
}

function toRegExp(pattern: string): RegExp {
  let expression = compiled.get(pattern);
  if (!expression) {
    expression = new RegExp(`^${pattern.replace(/:[a-z]+/gi, '[^/]+')}/*$`);
    compiled.set(pattern, expression);
  }
  return expression;
}
