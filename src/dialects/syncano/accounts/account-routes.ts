import type { FastifyInstance } from 'fastify';
import { AppError } from '../../../core/errors.ts';
import type { Account } from '../../../core/identity/accounts.ts';
import { readMetadata } from '../classes/class-body.ts';
import type { SyncanoDeps } from '../deps.ts';
import { chosen, parseFieldChoice } from '../field-choice.ts';
import { memberReader } from '../members.ts';
import { accountShape } from './account-shape.ts';

const MAX_NAME = 35;
const MAX_EMAIL = 254;

/** What a person does with its own account. */
export function registerAccountRoutes(app: FastifyInstance, deps: SyncanoDeps): void {
  const { accounts } = deps.core;
  const url = '/account';
  const about = (summary: string) => ({ schema: { summary } });
  const open = (summary: string) => ({ schema: { summary }, config: { public: true } });

  app.get(url, about('The account of the key'), async (request) =>
    chosen(accountShape(await accounts.get(request.actor)), parseFieldChoice(request)),
  );

  app.route({
    method: ['PUT', 'PATCH'],
    url,
    ...about('Change name, email or metadata'),
    handler: async (request) => {
      const before = accountShape(await accounts.get(request.actor));
      const read = memberReader(request.body as object);
      const firstName = read.text('first_name', { maxLength: MAX_NAME });
      const lastName = read.text('last_name', { maxLength: MAX_NAME });
      const email = read.text('email', { maxLength: MAX_EMAIL, canBeBlank: false })?.toLowerCase();
      if (email !== undefined && !/^[^\s@]+@[^\s@]+$/.test(email))
        read.problems.email = ['Enter a valid email address.'];
      read.check();
      const { metadata } = request.body as { metadata?: unknown };
      const hasName = firstName !== undefined || lastName !== undefined;
      const name = `${(firstName ?? before.first_name).replaceAll(' ', '\u00a0')} ${lastName ?? before.last_name}`;
      const changed = await accounts.update(request.actor, {
        name: hasName ? name.trimEnd() : undefined,
        email,
        metadata: metadata === undefined ? undefined : readMetadata(metadata),
      });
      return accountShape(changed);
    },
  });

  app.post(`${url}/auth`, open('Log in with email and password'), async (request) => {
    const read = memberReader(request.body as object);
    const email = read.text('email', { isRequired: true, canBeBlank: false }) ?? '';
    const password = read.text('password', { isRequired: true, canBeBlank: false }) ?? '';
    read.check();
    return withKey(await accounts.logIn(email, password));
  });

  app.post(`${url}/register`, open('Refused: accounts are made by the operator'), async () => {
    throw new AppError('invalid', 'account.registration-disabled', 'Registration disabled.');
  });

  app.post(`${url}/reset_key`, about('A new account key; the old one stops working'), async (request) => {
    // Read before the key is gone: who asks wrongly keeps it.
    const choice = parseFieldChoice(request);
    return chosen(withKey(await accounts.resetKey(request.actor)), choice);
  });

  app.post(`${url}/password`, about('Change the password'), async (request, reply) => {
    const read = memberReader(request.body as object);
    const current = read.text('current_password', { isRequired: true }) ?? '';
    const next = read.text('new_password', { isRequired: true, canBeBlank: false, maxLength: 128 }) ?? '';
    read.check();
    await accounts.changePassword(request.actor, current, next);
    reply.code(204);
  });
}

function withKey({ account, key }: { account: Account; key: string }) {
  return { ...accountShape(account), account_key: key };
}
