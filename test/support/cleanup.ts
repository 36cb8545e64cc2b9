import type { TestContext } from 'node:test';

type Action = () => unknown;

const stacks = new WeakMap<TestContext, Action[]>();

/**
 * Runs the action after the test, last in, first out, so that what was opened last is closed first. (`t.after` runs its
 * hooks in the order they were added.) Goes on after a failing action and then throws the first error.
 */
export function cleanup(t: TestContext, action: Action): void {
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
