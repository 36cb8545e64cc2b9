import { Command } from 'commander';
import { version } from '../lib/version.ts';
import { fail } from './output.ts';

/**
 * The command line. Commands are loaded when they are called, so that `--help` and `--version` answer at once and a
 * broken part of the server does not take the others with it.
 */
export async function runCommandLine(argv: string[]): Promise<void> {
  try {
    await buildProgram().parseAsync(argv);
  } catch (error) {
    fail(error);
  }
}

export function buildProgram(): Command {
  const program = new Command('millrace')
    .description('One self-hosted data platform that speaks Keboola Connection, Airbyte and Syncano over one core.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .showHelpAfterError('(millrace --help shows what there is)');

  addServerOptions(program.command('up'))
    .description('start everything in the foreground')
    .action(async (options) => (await import('./up.ts')).up(options));

  addServerOptions(program.command('serve'))
    .description('start parts of the platform, for several processes or machines over one DATABASE_URL')
    .option(
      '--roles <list>',
      'http, worker, scheduler, dispatcher, engine; commas between them',
      'http,worker,scheduler,dispatcher',
    )
    .addHelpText(
      'after',
      '\nWithout DATABASE_URL the embedded database allows one process only. Processes on several machines also need one\n' +
        'shared data directory. The dispatcher starts the jobs of triggers; engine processes are\n' +
        'started by the role that needs them.',
    )
    .action(async (options) => (await import('./serve.ts')).serve(options));

  const project = program.command('project').description('tenants of a running server');
  project
    .command('create')
    .description('make a further project and print its credentials, which are shown only once')
    .argument('<name>', 'display name')
    .option('--data <dir>', 'data directory, whose credentials.json says where the server is and how to get in')
    .option('--url <url>', 'where the server is')
    .option('--json', 'print one line of JSON')
    .option('--config <file>', 'configuration file instead of ./millrace.yaml')
    .action(async (name, options) => (await import('./project-create.ts')).projectCreate(name, options));

  const connector = program
    .command('connector')
    .description('connectors of other makers, for sources and destinations');
  const place = (command: Command) =>
    command
      .option('--data <dir>', 'data directory (default ./millrace-data)')
      .option('--json', 'print one line of JSON')
      .option('--config <file>', 'configuration file instead of ./millrace.yaml');
  place(connector.command('install'))
    .description('install a connector from the Python package index; a running server sees it within a second')
    .argument(
      '<package>',
      'airbyte-source-... or airbyte-destination-..., with ==version for one that is not the newest',
    )
    .option('--python <program>', 'Python to use, below /usr (default python3)')
    .action(async (name, options) => (await import('./connector.ts')).connectorInstall(name, options));
  place(connector.command('list'))
    .description('list installed connectors')
    .action(async (options) => (await import('./connector.ts')).connectorList(options));
  place(connector.command('remove'))
    .description('remove an installed connector; what is configured for it stays')
    .argument('<package>', 'name of the package')
    .action(async (name, options) => (await import('./connector.ts')).connectorRemove(name, options));

  const config = program.command('config').description('the configuration');
  config
    .command('print')
    .description('print every setting with its value, secrets masked, and where the value comes from')
    .option('--data <dir>', 'data directory')
    .option('--json', 'print one line of JSON')
    .option('--config <file>', 'configuration file instead of ./millrace.yaml')
    .action(async (options) => (await import('./config-print.ts')).configPrint(options));

  program
    .command('doctor')
    .description('check the machine and the configuration')
    .option('--data <dir>', 'data directory')
    .option('--host <host>', 'address to listen on')
    .option('--port <port>', 'port to listen on')
    .option('--json', 'print one line of JSON')
    .option('--config <file>', 'configuration file instead of ./millrace.yaml')
    .action(async (options) => (await import('./doctor.ts')).doctor(options));
  return program;
}

function addServerOptions(command: Command): Command {
  return command
    .option('--data <dir>', 'data directory (default ./millrace-data)')
    .option('--host <host>', 'address to listen on (default 127.0.0.1)')
    .option('--port <port>', 'port to listen on; 0 takes a free one (default 8000)')
    .option('--tls-cert <file>', 'certificate chain in PEM; the server then speaks HTTPS only')
    .option('--tls-key <file>', 'private key of the certificate in PEM')
    .option('--config <file>', 'configuration file instead of ./millrace.yaml')
    .option('--json', 'when ready, print exactly one line of JSON');
}
