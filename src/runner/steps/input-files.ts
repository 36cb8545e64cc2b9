import { constants } from 'node:fs';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { AppError } from '../../core/errors.ts';
import type { FileFilter, StoredFile } from '../../core/files/file-model.ts';
import { FILE_QUERY_FIELDS } from '../../core/files/files.ts';
import { parseDateText } from '../../lib/date-text.ts';
import type { Json } from '../../lib/json.ts';
import { parseQueryString, type QueryFilter, QuerySyntaxError } from '../../lib/query-string.ts';
import type { JobRun, RowRun } from '../job-run.ts';
import { runErrors } from '../run-errors.ts';
import { asList, asMap, printJson } from './config-file.ts';
import { asInputError, formatDate } from './input-tables.ts';
import type { InputFile } from './storage-mapping.ts';

const DEFAULT_LIMIT = 100;
/** File systems take 255; an id goes before it and `.manifest` behind. */
const MAX_NAME_BYTES = 200;

/** Every mapped file with its manifest in in/files, newest first; a sliced one is a folder of its slices. */
export async function downloadInputFiles(run: JobRun, row: RowRun): Promise<void> {
  const mappings = row.checked.storage.input?.files ?? [];
  if (mappings.length === 0) return;
  for (const mapping of mappings) {
    const files = await findFiles(run, mapping, row.state).catch((error: unknown) => {
      throw asInputError(error);
    });
    for (const file of files) await download(run, row, file);
    remember(row, mapping, files);
  }
  run.log.info('All files were fetched.');
}

async function findFiles(run: JobRun, mapping: InputFile, state: { [key: string]: Json }): Promise<StoredFile[]> {
  const { files } = run.parts.core;
  const { actor } = run.ctx;
  if (mapping.file_ids.length > 0) {
    return Promise.all(mapping.file_ids.map((id) => files.get(actor, Number(id))));
  }
  return files.list(actor, fileFilter(mapping, state), { limit: mapping.limit || DEFAULT_LIMIT, offset: 0 });
}

/** Which files a mapping means, except those it names by id. */
export function fileFilter(mapping: InputFile, state: { [key: string]: Json }, now = new Date()): FileFilter {
  const conditions: QueryFilter[] = tagsOf(mapping).map(({ name, match }) => {
    const hasTag: QueryFilter = { field: 'tags', op: 'eq', values: [name] };
    return match === 'exclude' ? { not: hasTag } : hasTag;
  });
  if (mapping.query) {
    const parsed = parseQuery(mapping.query);
    if (parsed) conditions.push(parsed);
  }
  const filter: FileFilter = {};
  if (mapping.changed_since === 'adaptive') {
    const last = lastImportId(mapping, state);
    if (last !== undefined) filter.sinceId = last;
  } else if (mapping.changed_since) {
    const since = parseDateText(mapping.changed_since, now);
    if (!since) throw runErrors.input('The value provided for changed_since could not be converted to a timestamp');
    conditions.push({ field: 'createdAt', op: 'ge', values: [since.toISOString()] });
  }
  if (conditions.length > 0) filter.where = { all: conditions };
  return filter;
}

function parseQuery(query: string): QueryFilter | undefined {
  try {
    return parseQueryString(query, FILE_QUERY_FIELDS);
  } catch (error) {
    if (error instanceof QuerySyntaxError) throw runErrors.input(`Invalid query "${query}": ${error.message}`);
    throw error;
  }
}

function tagsOf(mapping: InputFile): { name: string; match?: string }[] {
  return mapping.source?.tags ?? mapping.tags.map((name) => ({ name }));
}

/** A mapping is known again in the state by its tags. */
function lastImportId(mapping: InputFile, state: { [key: string]: Json }): number | undefined {
  const wanted = JSON.stringify(tagsOf(mapping));
  const entries = asList(asMap(asMap(state.storage).input).files).map(asMap);
  const entry = entries.find(({ tags }) => JSON.stringify(tags) === wanted);
  return entry?.lastImportId === undefined ? undefined : Number(entry.lastImportId);
}

function remember(row: RowRun, mapping: InputFile, files: StoredFile[]): void {
  const { input } = row;
  const tags = tagsOf(mapping);
  if (tags.length > 0) {
    const last = Math.max(lastImportId(mapping, row.state) ?? 0, ...files.map(({ id }) => id));
    if (last > 0) input.files.push({ tags, lastImportId: String(last) });
  }
  if (mapping.processed_tags.length > 0) {
    input.processed.push(...files.map(({ id }) => ({ fileId: id, tags: mapping.processed_tags })));
  }
}

async function download(run: JobRun, row: RowRun, file: StoredFile): Promise<void> {
  const name = `${file.id}_${endOf(file.name.replace(/[/\0]/g, '_'), MAX_NAME_BYTES)}`;
  const path = join(row.paths.data, 'in', 'files', name);
  try {
    const opened = await run.parts.core.files.openSlices(run.ctx.actor, file.id);
    try {
      if (opened.isSliced) await mkdir(path, { recursive: true });
      // A copy in any case (a cheap one where the file system can): programs may write into what they are given.
      for (const [index, slice] of opened.paths.entries()) {
        const target = opened.isSliced ? join(path, `${String(index).padStart(5, '0')}_${basename(slice)}`) : path;
        await copyFile(slice, target, constants.COPYFILE_FICLONE);
        run.ctx.signal.throwIfAborted();
      }
    } finally {
      await opened.close();
    }
  } catch (error) {
    // The words of other errors are not the user's: they name our folders.
    if (run.ctx.signal.aborted || !(error instanceof AppError)) throw error;
    throw runErrors.input(`Failed to download file ${file.name} (${file.id}): ${error.message}`);
  }
  await writeFile(`${path}.manifest`, printJson(fileManifest(file)));
  run.log.info(`Fetched file "${name}".`);
}

/** The last so many bytes of a text, in whole characters: there the extension is. */
function endOf(text: string, bytes: number): string {
  const all = Buffer.from(text);
  let start = Math.max(0, all.length - bytes);
  while (start > 0 && start < all.length && (all[start]! & 0xc0) === 0x80) start++;
  return all.subarray(start).toString();
}

function fileManifest(file: StoredFile): Json {
  return {
    id: file.id,
    name: file.name,
    created: formatDate(file.createdAt) ?? null,
    is_public: file.isPublic,
    is_encrypted: file.isEncrypted,
    is_sliced: file.isSliced,
    tags: file.tags,
    max_age_days: file.maxAgeDays ?? 0,
    size_bytes: file.sizeBytes ?? 0,
  };
}

/** After everything went well: the tags that keep files from being processed again. */
export async function tagProcessedFiles(run: JobRun, row: RowRun): Promise<void> {
  for (const { fileId, tags } of row.input.processed) {
    for (const tag of tags) await run.parts.core.files.addTag(run.ctx.actor, fileId, tag);
  }
}
