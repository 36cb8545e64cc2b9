export { openProcessRuntime, type ProcessRuntime, type ProcessRuntimeOptions } from './process-runtime.ts';
