import { Type } from 'typebox';
import { AppError } from '../../../core/errors.ts';
import type { WorkspaceSource } from '../../../core/tables/table-model.ts';
import { WORKSPACE_BACKENDS } from './workspace-shape.ts';

/** Rows of a workspace as the source of a load. */
export const WorkspaceSourceBody = {
  dataWorkspaceId: Type.Optional(Type.Integer({ minimum: 0 })),
  dataObject: Type.Optional(Type.String({ description: 'a table or view of the workspace' })),
  dataTableName: Type.Optional(Type.String({ description: 'older name of `dataObject`' })),
};

type SourceBody = {
  dataWorkspaceId?: number | undefined;
  dataObject?: string | undefined;
  dataTableName?: string | undefined;
  dataFileId?: number | undefined;
  columns?: string[] | undefined;
};

/** Undefined where the body names no workspace. Whether it is there shows when the job runs. */
export function toWorkspaceSource(body: SourceBody): WorkspaceSource | undefined {
  const { dataWorkspaceId, dataFileId, columns = [] } = body;
  if (dataWorkspaceId === undefined) return undefined;
  const object = body.dataObject || body.dataTableName;
  if (dataFileId !== undefined)
    throw new AppError('invalid', 'table.invalid', 'Only one of "dataFileId" and "dataWorkspaceId" can be used.');
  if (!object) throw new AppError('invalid', 'table.invalid', 'The parameter "dataObject" is required.');
  return {
    kind: 'workspace',
    backend: WORKSPACE_BACKENDS.redshift ?? '',
    workspaceId: dataWorkspaceId,
    object,
    columns,
  };
}
