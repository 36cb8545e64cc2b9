type NotBuilt = readonly [methods: string, pattern: string];

/**
 * Storage calls of the original that do not exist here yet. They answer 501, which clients take as a final answer;
 * with 404 they would conclude that the object is missing. Paths are relative to `/v2/storage`, without branch prefix.
 * Whoever builds one deletes its line.
 */
export const NOT_BUILT: readonly NotBuilt[] = [
  ['POST', '/tokens/:id/share'],

  ['GET POST', '/buckets/:id/owner'],
  ['POST', '/buckets/register'],
  ['GET', '/buckets/register-guide'],
  ['GET', '/listings'],
  ['GET POST DELETE', '/buckets/:id/listing'],
  ['PUT', '/buckets/:id/refresh'],
  ['POST', '/buckets/:id/refresh-tables-info'],
  ['POST', '/buckets/:id/scheduled-tasks/refresh'],
  ['DELETE', '/scheduled-tasks/:id'],

  ['POST', '/buckets/:id/table-aliases'],
  ['GET', '/tables/:id/export'],
  ['POST DELETE', '/tables/:id/alias-filter'],
  ['POST DELETE', '/tables/:id/alias-columns-auto-sync'],
  ['POST', '/tables/:id/swap'],
  ['POST', '/tables/:id/pull'],
  ['POST', '/tables/:id/profile'],
  ['GET', '/tables/:id/profile/latest'],
  ['POST', '/tables/:id/optimize'],

  ['POST', '/workspaces/:id/input-mapping-load'],
  ['POST', '/workspaces/:id/public-key'],
  ['POST', '/workspaces/:id/public-key/:name'],
  ['GET POST', '/workspaces/:id/credentials'],
  ['GET DELETE', '/workspaces/:id/credentials/:credential'],
  ['GET', '/components/:component/configs/:config/diff'],
  ['POST', '/components/:component/configs/:config/rebase'],

  ['GET POST', '/merge-request'],
  ['GET PUT DELETE', '/merge-request/:id'],
  ['GET PUT POST', '/merge-request/:id/:act'],

  ['GET', '/stats'],
  ['GET', '/search/tables'],
  ['GET', '/global-search'],
];

/** The same for other services; paths are relative to the service. `*` stands for any rest of a path. */
export const NOT_BUILT_OF_SERVICES: Readonly<Record<string, readonly NotBuilt[]>> = {
  manage: [
    ['GET POST DELETE', '/(maintainers|organizations|projects|users)/:id/metadata(/*)?'],
    ['POST PATCH', '/organizations/:id/force-mfa'],
    ['POST DELETE', '/(projects|users)/:id/(features|storage-backend|file-storage|mfa|credits)(/*)?'],
    ['GET PUT', '/projects/:id/reviewers'],
    ['POST', '/deleted-projects/:id/purge'],
    ['GET', '/users/:id/(organizations|projects|maintainers)'],
    ['GET POST', '/(maintainers/:id|current-user)/promo-codes'],
    [
      'GET POST PUT PATCH DELETE',
      '/(features|project-templates|commands|ui-apps|storage-backend|file-storage-*|pay-as-you-go|notifications|kubernetes-service-accounts|internal)(/*)?',
    ],
  ],
  queue: [
    ['GET', '/search/grouped-jobs'],
    ['GET', '/latest-configurations-jobs'],
    ['GET', '/configurations-jobs'],
    ['GET', '/orchestration-rerun-plan/:job'],
    ['GET', '/jobs/:job/open-api-lineage'],
    ['GET', '/job/:job/open-api-lineage'],
    ['GET', '/stats/project'],
  ],
  syrup: [
    ['POST', '(/docker)?/encrypt'],
    ['POST', '(/docker)?/migrate'],
    ['POST', '(/docker)?(/branch/:branch)?/configuration/resolve'],
    ['POST', '(/docker)?(/branch/:branch)?/:component/action/:action'],
    ['GET', '(/docker)?/stats/project'],
    ['GET', '(/docker)?/stats/project/daily'],
    ['GET POST PUT PATCH DELETE', '/(orchestrator|transformation|oauth-v2|oauth|gooddata-writer)(/*)?'],
  ],
};

const compiled = new Map<string, RegExp>();

/** Whether the method and path (no query) belong to a known call that is not built. */
export function isNotBuilt(method: string, path: string, table: readonly NotBuilt[] = NOT_BUILT): boolean {
  return table.some(([methods, pattern]) => methods.split(' ').includes(method) && toRegExp(pattern).test(path));
}

function toRegExp(pattern: string): RegExp {
  let expression = compiled.get(pattern);
  if (!expression) {
    expression = new RegExp(`^${pattern.replaceAll('*', '.*').replace(/:[a-z]+/g, '[^/]+')}/*$`);
    compiled.set(pattern, expression);
  }
  return expression;
}
