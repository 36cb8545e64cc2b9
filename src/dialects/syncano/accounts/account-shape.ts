import type { Account } from '../../../core/identity/accounts.ts';

/** A person; of its name the first word is the first name. */
export function accountShape({ id, email, name, hasPassword, metadata }: Account) {
  const [firstName = '', ...lastNames] = name.split(' ');
  return {
    id,
    email,
    // Blanks inside of a first name are kept as ones that do not break.
    first_name: firstName.replaceAll('\u00a0', ' '),
    last_name: lastNames.join(' '),
    is_active: true,
    has_password: hasPassword,
    metadata,
  };
}
