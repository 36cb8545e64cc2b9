import { copyFile, lchown, link, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../core/errors.ts';
import type { FileSource } from '../../core/files/file-model.ts';
import type { JobRun, RowRun } from '../job-run.ts';
import { runErrors } from '../run-errors.ts';
import { type OutputEntry, orphans, readManifest, readOutputFolder, readSlices } from './output-folder.ts';
import { defaultFile, parseFileManifest } from './storage-mapping.ts';

/** Everything in out/files becomes a stored file, mapped or not. */
export async function storeOutputFiles(run: JobRun, row: RowRun): Promise<void> {
  const folder = await readOutputFolder(row.paths.data, 'files');
  const mappings = row.checked.storage.output?.files ?? [];
  const orphan = orphans(folder)[0];
  if (orphan !== undefined) throw runErrors.output(`Found orphaned file manifest: '${orphan}'`);
  for (const { source } of mappings) {
    if (!folder.entries.some(({ name }) => name === source)) throw runErrors.fileMissing(source ?? '');
  }
  for (const entry of folder.entries) {
    const manifest = await readManifest(folder, entry.name);
    const mapping = mappings.find(({ source }) => source === entry.name);
    const settings = mapping ?? (manifest === undefined ? defaultFile() : parseFileManifest(manifest));
    const newFile = {
      name: entry.name,
      tags: [...settings.tags, ...systemTags(run, row)],
      isPublic: settings.is_public,
      isPermanent: settings.is_permanent,
      isEncrypted: settings.is_encrypted,
    };
    try {
      await run.parts.core.files.createFrom(run.ctx.actor, newFile, await stage(row, entry));
    } catch (error) {
      // The words of other errors are not the user's: they name our folders.
      if (!(error instanceof AppError)) throw error;
      throw runErrors.output(`Cannot upload file '${entry.name}' to Storage API: ${error.message}`);
    }
    // Only now, so that a server that goes down in between stores it again rather than never.
    await rm(entry.path, { recursive: true });
  }
}

/** The store takes files away from where they lie: it gets second names of them (or copies), under our own user. */
async function stage(row: RowRun, entry: OutputEntry): Promise<FileSource> {
  const folder = join(row.paths.load, 'files');
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const offer = async (path: string, name: string) => {
    const target = join(folder, name);
    await link(path, target).catch(() => copyFile(path, target));
    if (process.getuid?.() === 0) await lchown(target, 0, 0);
    return target;
  };
  if (!entry.isFolder) return offer(entry.path, '0');
  const slices = await readSlices(entry);
  return Promise.all(
    slices.map(async (slice, index) => ({ name: slice.name, path: await offer(slice.path, String(index)) })),
  );
}

function systemTags({ component, ctx }: JobRun, { definition }: RowRun): string[] {
  return [
    `componentId: ${component.id}`,
    `configurationId: ${definition.configurationId ?? ''}`,
    ...(definition.rowId === undefined ? [] : [`configurationRowId: ${definition.rowId}`]),
    `branchId: ${ctx.job.branchId}`,
    `runId: ${ctx.job.id}`,
  ];
}
