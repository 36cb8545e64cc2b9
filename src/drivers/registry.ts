/**
 * Every driver there is, by name. They are loaded when they are opened: one that is not used costs neither time nor
 * memory, and may be missing its packages.
 */
export const engines = {
  duckdb: () => import('./engines/duckdb/index.ts'),
};

export const runtimes = {
  process: () => import('./runtimes/process/index.ts'),
};

export const filestores = {
  local: () => import('./filestores/local/index.ts'),
  s3: () => import('./filestores/s3/index.ts'),
};

export const provisioners = {
  postgres: () => import('./provisioners/postgres/index.ts'),
  mysql: () => import('./provisioners/mysql/index.ts'),
};
