/** One line of the demo's table. */
export type Step = { name: string; call: string; rows: number | undefined; ms: number; skipped?: string };

/** Does one thing and reports how it went: the body answers how many rows it was about, if any. */
export type Stepper = (name: string, call: string, body: () => Promise<number | undefined>) => Promise<void>;

export function stepper(report: (step: Step) => void): Stepper {
  return async (name, call, body) => {
    const started = performance.now();
    const rows = await body();
    report({ name, call, rows, ms: performance.now() - started });
  };
}
