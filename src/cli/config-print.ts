import { describeConfig } from '../config.ts';
import { type ConfigFlags, loadFromFlags } from './options.ts';
import { printLine } from './output.ts';

export async function configPrint(options: ConfigFlags): Promise<void> {
  const lines = describeConfig(loadFromFlags(options));
  if (options.json) {
    const entries = lines.map(({ key, value, source }) => [key, { value: value ?? null, source }]);
    printLine(JSON.stringify(Object.fromEntries(entries)));
    return;
  }
  const width = Math.max(...lines.map(({ key }) => key.length));
  for (const { key, value, source } of lines) {
    printLine(`${key.padEnd(width)}  ${value === undefined ? '-' : String(value)}  (${source})`);
  }
}
