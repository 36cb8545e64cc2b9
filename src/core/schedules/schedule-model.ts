import type { Json } from '../../lib/json.ts';
import type { Recurrence } from './schedule-times.ts';

export type ScheduleTarget = { componentId: string; configurationId: string };

/** The configuration that defines a schedule, and in which version it was read. */
export type ScheduleDefinition = ScheduleTarget & { version: number };

export type ScheduleInput = { [key: string]: Json };

/** What is run when. It runs in the name of the token that made or last changed it. */
export type Schedule = {
  id: number;
  projectId: number;
  branchId: number;
  name: string;
  description: string;
  target: ScheduleTarget;
  /** What the run gets besides, in the words of the component's own runs. */
  input: ScheduleInput;
  /** Undefined for one that stands for itself. */
  definition: ScheduleDefinition | undefined;
  recurrence: Recurrence;
  isEnabled: boolean;
  token: { id: number; description: string };
  /** Undefined: never, as long as nothing changes. */
  nextRunAt: Date | undefined;
  lastDueAt: Date | undefined;
  lastJobId: number | undefined;
  /** Why nothing was started the last time it was due. */
  problem: string | undefined;
  createdAt: Date;
  updatedAt: Date;
};

export type NewSchedule = {
  name: string;
  description?: string | undefined;
  target: ScheduleTarget;
  recurrence: Recurrence;
  input?: ScheduleInput | undefined;
  isEnabled?: boolean | undefined;
};

/** Members that are left out stay. */
export type SchedulePatch = { [Key in keyof NewSchedule]?: NewSchedule[Key] | undefined };

export type ScheduleFilter = { componentId?: string | undefined; configurationId?: string | undefined };

/** How many schedules of one component a project may have that stand for themselves. */
export const MAX_SCHEDULES = 100;
