import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../config.ts';
import { AppError } from '../core/errors.ts';
import { runtimes } from '../drivers/registry.ts';
import { say } from './output.ts';
import { draftFolder, type PythonProgram } from './python-program.ts';

/** What a connector tells about itself. */
export type Specification = {
  connectionSpecification: { [key: string]: unknown };
  documentationUrl?: string;
  supported_destination_sync_modes?: string[];
};

const TIMEOUT_MS = 60_000;
const OUTPUT_BYTES = 16 * 1024 ** 2;

/** Asks the program for its specification; in the sandbox, without a network: it is somebody else's program. */
export async function askSpecification(config: Config, root: string, program: PythonProgram): Promise<Specification> {
  const { openProcessRuntime } = await runtimes.process();
  const runtime = await openProcessRuntime({ mode: config.runtime, log: { warn: say } });
  const home = draftFolder(await runtime.workRoot(root));
  const [workDirectory, logDirectory] = [path.join(home, 'data'), path.join(home, 'log')];
  for (const folder of [home, workDirectory, logDirectory]) mkdirSync(folder, { recursive: true, mode: 0o711 });
  const bin = path.join(program.folder, 'bin');
  try {
    const { handle, stdin, stdout } = await runtime.startPiped({
      id: `connector-spec-${process.pid}`,
      command: [path.join(bin, 'python'), path.join(bin, program.script), 'spec'],
      workDirectory,
      environment: { PYTHONUNBUFFERED: '1' },
      readOnlyPaths: [program.folder],
      logDirectory,
      network: 'none',
      limits: {
        timeoutMs: TIMEOUT_MS,
        memoryMb: 1024,
        processes: 256,
        fileBytes: OUTPUT_BYTES,
        logBytes: OUTPUT_BYTES,
      },
    });
    stdin.end();
    let output = '';
    for await (const chunk of stdout.setEncoding('utf8')) if (output.length < OUTPUT_BYTES) output += chunk;
    const exit = await runtime.wait(handle);
    await runtime.remove(handle);
    const found = output
      .split('\n')
      .reduce<Specification | undefined>((last, line) => toSpecification(line) ?? last, undefined);
    if (found) return found;
    throw new AppError(
      'invalid',
      'command.cannot-install',
      `${program.name} is no connector: "${program.script} spec" told no specification (exit code ${exit.code}).`,
    );
  } finally {
    rmSync(home, { recursive: true, force: true });
    await runtime.close();
  }
}

function toSpecification(line: string): Specification | undefined {
  if (!line.includes('"SPEC"')) return undefined;
  try {
    const { type, spec } = JSON.parse(line) as { type?: unknown; spec?: Partial<Specification> };
    const schema = spec?.connectionSpecification;
    return type === 'SPEC' && typeof schema === 'object' && schema !== null ? (spec as Specification) : undefined;
  } catch {
    // A line that is no message is something the program says to people.
    return undefined;
  }
}
