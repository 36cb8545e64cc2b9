/** Ways out of a sandbox, by name, with what each is aimed at. */
export type Attempt =
  | { name: string; act: 'read' | 'list' | 'unix' | 'write'; path: string }
  | { name: string; act: 'tcp'; host: string; port: number }
  | { name: string; act: 'kill'; pid: number };

/**
 * A Python program that tries all of them, and whatever needs no aim, and writes one row for each: name, whether it got
 * through, what it saw. It must get through where nothing holds it, so that a refusal says something.
 */
export function attemptsProgram(attempts: Attempt[], output: string): string {
  return `
import csv, json, os, socket
attempts = json.loads(${JSON.stringify(JSON.stringify(attempts))})

def read(path):
    with open(path, 'rb') as file:
        return file.read(2000)

def write(path):
    with open(path, 'ab') as file:
        return file.name

def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        client.connect(address)
        return 'connected'

acts = {
    'read': lambda a: read(a['path']),
    'write': lambda a: write(a['path']),
    'list': lambda a: os.listdir(a['path']),
    'unix': lambda a: connect(socket.AF_UNIX, a['path']),
    'tcp': lambda a: connect(socket.AF_INET, (a['host'], a['port'])),
    'kill': lambda a: os.kill(a['pid'], 0) or 'signalled',
}

def command(pid):
    try:
        return read('/proc/' + pid + '/cmdline').replace(b'\\0', b' ').decode('utf8', 'replace').strip()
    except OSError:
        return ''

rows = []
for attempt in attempts:
    try:
        rows.append([attempt['name'], 'reached', repr(acts[attempt['act']](attempt))[:500]])
    except Exception as error:
        rows.append([attempt['name'], 'refused', repr(error)[:200]])
rows.append(['environment', 'seen', json.dumps(dict(os.environ))])
rows.append(['user', 'seen', str(os.getuid())])
rows.append(['processes', 'seen', '\\n'.join(command(p) for p in os.listdir('/proc') if p.isdigit())])
rows.append(['open files', 'seen', ' '.join(sorted(f for f in os.listdir('/proc/self/fd') if int(f) > 2 and os.path.exists('/proc/self/fd/' + f)))])
with open(${JSON.stringify(output)}, 'w', newline='') as file:
    csv.writer(file).writerows([['name', 'outcome', 'detail']] + rows)
`;
}

/** The same attempts by a script: rows as JSON on its output. */
export function attemptsScript(attempts: Attempt[]): string {
  return `
const fs = require('fs');
const net = require('net');
const connect = (where) => new Promise((resolve, reject) => {
  const socket = net.connect(where, () => { socket.destroy(); resolve('connected'); });
  socket.setTimeout(2000, () => { socket.destroy(); reject(new Error('timed out')); });
  socket.on('error', reject);
});
const acts = {
  read: ({ path }) => fs.readFileSync(path, 'latin1').slice(0, 200),
  write: ({ path }) => fs.appendFileSync(path, '') || 'opened',
  list: ({ path }) => fs.readdirSync(path).join(),
  unix: ({ path }) => connect({ path }),
  tcp: ({ host, port }) => connect({ host, port }),
  kill: ({ pid }) => process.kill(pid, 0) && 'signalled',
};
const rows = [];
for (const attempt of ${JSON.stringify(attempts)}) {
  try { rows.push([attempt.name, 'reached', String(await acts[attempt.act](attempt)).slice(0, 100)]); }
  catch (error) { rows.push([attempt.name, 'refused', String(error && error.code)]); }
}
rows.push(['environment', 'seen', JSON.stringify(process.env)]);
rows.push(['user', 'seen', String(process.getuid())]);
console.log(JSON.stringify(rows));
`;
}
