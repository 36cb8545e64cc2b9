import type { ClassField, ObjectClass } from '../../../core/objects/class-model.ts';
import { classPath, instancePath, objectsPath } from '../links.ts';

export function classShape(instance: string, of: ObjectClass, objectsCount: number) {
  return {
    name: of.name,
    description: of.description,
    schema: of.fields.map(fieldShape),
    status: 'ready',
    created_at: of.createdAt,
    updated_at: of.updatedAt,
    objects_count: objectsCount,
    revision: of.revision,
    group: of.groupId ?? null,
    group_permissions: of.groupRight,
    other_permissions: of.otherRight,
    metadata: of.metadata,
    ...(of.sourceTableId !== undefined && { source_table: of.sourceTableId }),
    links: {
      self: classPath(instance, of.name),
      objects: objectsPath(instance, of.name),
      ...(of.groupId !== undefined && { group: `${instancePath(instance)}groups/${of.groupId}/` }),
    },
  };
}

/** Flags that are off are left out. */
function fieldShape({ name, type, target, orderIndex, filterIndex, unique }: ClassField) {
  return {
    name,
    type,
    ...(target !== undefined && { target }),
    ...(orderIndex && { order_index: true }),
    ...(filterIndex && { filter_index: true }),
    ...(unique && { unique: true }),
  };
}
