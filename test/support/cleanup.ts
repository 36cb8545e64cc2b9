import { after, type TestContext } from 'node:test';

type Action = () => unknown;

/** What has an end: a test, or a suite whose tests share something. */
export type Scope = Pick<TestContext, 'after'>;

const stacks = new WeakMap<Scope, Action[]>();

/**
 * Runs the action after the test, last in, first out, so that what was opened last is closed first. (`t.after` runs its
 * hooks in the order they were added.) Goes on after a failing action and then throws the first error.
 */
export function cleanup(t: Scope, action: Action): void {
  const known = stacks.get(t);
  if (known) {
    known.push(action);
    return;
  }
  const stack = [action];
  stacks.set(t, stack);
  t.after(async () => {
    const errors: unknown[] = [];
    for (let next = stack.pop(); next; next = stack.pop()) {
      try {
        await next();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  });
}

/**
 * The suite whose `describe` is being carried out, for what is too slow to be started for each of its tests. Its hook is
 * added here and now: inside of a test it would be the test's.
 */
export function suiteScope(): Scope {
  const actions: Action[] = [];
  after(async () => {
    for (const action of actions) await action();
  });
  return { after: (action) => void actions.push(action as Action) };
}
