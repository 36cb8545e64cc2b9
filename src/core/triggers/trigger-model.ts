import type { ScheduleTarget } from '../schedules/schedule-model.ts';

/** When one of the tables has changed, a job of the target is made: at once, but not again before the cool-down is over. */
export type Trigger = {
  id: number;
  projectId: number;
  branchId: number;
  target: ScheduleTarget;
  coolDownMinutes: number;
  tableIds: string[];
  /** In whose name the jobs run. */
  runWithTokenId: number;
  creator: { id: number; description: string };
  isEnabled: boolean;
  /** Set while there are changes that no job has been made for: when it will be. */
  dueAt: Date | undefined;
  lastRunAt: Date | undefined;
  lastJobId: number | undefined;
  /** Why nothing was started the last time it was due. */
  problem: string | undefined;
  createdAt: Date;
};

export type NewTrigger = Pick<Trigger, 'target' | 'coolDownMinutes' | 'tableIds' | 'runWithTokenId'>;

/** Members that are left out stay. */
export type TriggerPatch = {
  componentId?: string | undefined;
  configurationId?: string | undefined;
  coolDownMinutes?: number | undefined;
  tableIds?: string[] | undefined;
  runWithTokenId?: number | undefined;
};

export type TriggerFilter = { componentId?: string | undefined; configurationId?: string | undefined };

export const TRIGGER_LIMITS = { ofProject: 1000, tables: 1000, coolDownMinutes: 525_600 };
