import { AppError } from '../errors.ts';

export const projectErrors = {
  notFound: (id: number | string) => new AppError('not-found', 'project.not-found', `Project "${id}" was not found.`),
  slugTaken: (slug: string) =>
    new AppError('conflict', 'project.slug-taken', `The project slug "${slug}" is already in use.`),
  invalidSlug: (slug: string) =>
    new AppError(
      'invalid',
      'project.invalid-slug',
      `"${slug}" is no valid project slug: use 1 to 64 of a-z, 0-9 and "-", beginning with a letter.`,
    ),
  branchNameTaken: (name: string) =>
    new AppError('invalid', 'branch.duplicate-name', `There already is a branch with name "${name}"`),
  invalidBranchName: () =>
    new AppError(
      'invalid',
      'branch.invalid',
      'Invalid request:\n - name: "A branch needs a name of 1 to 255 characters."',
    ),
  defaultBranchName: () => new AppError('invalid', 'branch.default', 'You can not update default branch name.'),
  defaultBranchStays: () => new AppError('invalid', 'branch.default', 'Cannot delete Main branch'),
  branchMetadataNotFound: (id: number) =>
    new AppError('not-found', 'metadata.not-found', `Metadata with id "${id}" not found`),
  nameMissing: () => new AppError('invalid', 'project.name-missing', 'A project needs a name of 1 to 255 characters.'),
};
