import type { ConnectorFacts } from './connector-model.ts';

/** A component as its definition file describes it. Absent keys have been filled with their defaults. */
export type ComponentDefinition = {
  id: string;
  type: ComponentType;
  name: string;
  description: string;
  longDescription: string;
  documentationUrl: string | null;
  flags: string[];
  features: string[];
  categories: string[];
  /** What the runner reads (memory, process_timeout, default_bucket ...), and further facts that only clients read. */
  data: ComponentSettings;
  /** JSON Schema of `parameters` in a configuration; empty where the component has none. */
  configurationSchema: object;
  configurationRowSchema: object;
  createConfigurationRowSchema: object;
  emptyConfiguration: object;
  emptyConfigurationRow: object;
  uiOptions: object;
  /** How this server runs it; absent when it can only be configured here. */
  run: ComponentRun | undefined;
  /** Folder of its definition and program, for components that have one. */
  directory: string | undefined;
  /** Path of the service behind the id on our host, for the few ids that name a service and not a program. */
  servicePath: string | undefined;
  /** For programs that read records from somewhere, or write them somewhere. */
  connector: ConnectorFacts | undefined;
};

export const COMPONENT_TYPES = [
  'extractor',
  'writer',
  'application',
  'transformation',
  'processor',
  'code-pattern',
  'other',
  'data-app',
] as const;

export type ComponentType = (typeof COMPONENT_TYPES)[number];

export type ComponentRun =
  /** Work of the server itself: statements in its engine, or rows of tables into a class of data objects. */
  | { builtin: 'sql' | 'objects' }
  /** A program in the component's folder, started there. */
  | { command: string[] };

export type ComponentSettings = {
  definition?: { type: string; uri: string; tag?: string };
  /** Docker notation: `256m`, `8g`. */
  memory?: string;
  process_timeout?: number;
  default_bucket?: boolean;
  default_bucket_stage?: 'in' | 'out';
  network?: string;
  staging_storage?: { input?: string; output?: string };
  image_parameters?: Record<string, unknown>;
  [key: string]: unknown;
};

/** Tag of the program when neither the job nor the configuration asks for another. */
export function defaultTag(definition: ComponentDefinition): string {
  return definition.data.definition?.tag ?? 'latest';
}
