import type { ComponentDefinition } from '../core/components/component-model.ts';
import { defaultTag } from '../core/components/component-model.ts';
import type { RunDefinition } from '../core/components/run-definition.ts';
import type { Core } from '../core/core.ts';
import type { Job } from '../core/jobs/job-model.ts';
import type { EngineSessions } from '../drivers/engines/contract.ts';
import type { Runtime } from '../drivers/runtimes/contract.ts';
import type { Json } from '../lib/json.ts';
import type { JobLog } from './job-log.ts';
import type { JobContext } from './kind.ts';
import type { CheckedConfiguration } from './steps/config-file.ts';
import type { RowPaths } from './steps/work-dir.ts';

export type RunnerParts = {
  core: Core;
  runtime: Runtime;
  /** Where the engine has them: for components that are SQL. */
  sessions: EngineSessions | undefined;
  /** Folder for the work directories of jobs; on the disk of the data directory, outside of lakes and file store. */
  jobsDirectory: string;
  /** Where the platform is reached, without a slash at the end. */
  publicUrl(): string;
};

/** One job of a component, from its claim to its end. */
export type JobRun = {
  readonly parts: RunnerParts;
  readonly ctx: JobContext;
  readonly component: ComponentDefinition;
  readonly log: JobLog;
  readonly jobsDirectory: string;
};

/** One run of the component within the job: the only one, or that of a row. */
export type RowRun = {
  readonly index: number;
  readonly definition: RunDefinition;
  /** Secrets are plain in it. */
  readonly checked: CheckedConfiguration;
  readonly state: { [key: string]: Json };
  readonly paths: RowPaths;
  readonly input: InputReport;
  readonly loads: SubmittedLoad[];
};

export type TableReport = { id: string; name: string; displayName: string; columns: { name: string }[] };

/** What the input mapping has read; kept in the work directory, for a server that takes the job over. */
export type InputReport = {
  tables: TableReport[];
  /** For the state: when each table was last imported at that time. */
  imported: { source: string; lastImportDate: string }[];
  files: { tags: { name: string; match?: string }[]; lastImportId: string }[];
  processed: { fileId: number; tags: string[] }[];
  /** Bytes of tables that were written for the program. */
  bytes: number;
};

export type SubmittedLoad = {
  job: Job;
  tableId: string;
  /** Whether the table was there before. */
  existed: boolean;
  metadata: { key: string; value: string }[];
  columnMetadata: Record<string, { key: string; value: string }[]>;
};

export const emptyInput = (): InputReport => ({ tables: [], imported: [], files: [], processed: [], bytes: 0 });

/** `image:tag`, as messages name what ran. */
export function imageOf({ component, ctx }: Pick<JobRun, 'component' | 'ctx'>): string {
  return `${component.data.definition?.uri ?? component.id}:${ctx.job.tag ?? defaultTag(component)}`;
}
