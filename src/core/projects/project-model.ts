/** A tenant: one row, whatever each dialect calls it. */
export type Project = {
  id: number;
  uuid: string;
  /** Unique and unchangeable: part of clients' URLs. */
  slug: string;
  name: string;
  type: string;
  organization: { id: number; uuid: string; name: string };
  /** The backend name announced to clients. */
  defaultBackend: string;
  features: string[];
  /** How much of something the project may use, by name; see `PROJECT_LIMITS`. */
  limits: Record<string, number>;
  createdAt: Date;
  defaultBranchId: number;
  expiresAt: Date | undefined;
  disabled: DisabledProject | undefined;
  settings: ProjectSettings;
};

export type DisabledProject = { reason: string; estimatedEndTime?: string };

/** Kept for those who ask; nothing here goes by them. */
export type ProjectSettings = {
  hasTryModeOn?: boolean | undefined;
  billedMonthlyPrice?: number | undefined;
  dataRetentionTimeInDays?: number | undefined;
  timezone?: string | undefined;
};

export type ProjectOwner = { id: number; email: string; name: string; hasPassword: boolean };

/** The limits the platform itself reads from a project, with what holds where the project says nothing. */
export const PROJECT_LIMITS = {
  /** Running jobs of the storage lane. */
  storageJobs: 10,
  /** Running jobs of the component lane. */
  componentJobs: 10,
  /** Running scripts. */
  scriptJobs: 10,
} as const;

export type Branch = {
  id: number;
  projectId: number;
  name: string;
  description: string;
  isDefault: boolean;
  creator: { id: number; description: string } | undefined;
  createdAt: Date;
};

/** Letters, digits and dashes, beginning with a letter; never empty. */
export function slugify(name: string): string {
  const slug = name
    .normalize('NFKD')
    .replace(/[\u0300-\u036f]/g, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 48)
    .replace(/^-+|-+$/g, '');
  if (slug === '') return 'project';
  return /^[a-z]/.test(slug) ? slug : `p-${slug}`;
}

export function isSlug(text: string): boolean {
  return /^[a-z][a-z0-9-]{0,63}$/.test(text);
}
