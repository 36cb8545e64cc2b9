import { type FieldProblems, objectErrors } from '../../core/objects/object-errors.ts';

/** Reads the members of a body and tells all problems at once, each under its name. */
export function memberReader(body: object) {
  const members = body as Record<string, unknown>;
  const problems: FieldProblems = {};
  return {
    problems,
    /** Undefined when it is absent; a required one that is absent is a problem. */
    text(name: string, { isRequired = false, maxLength = Number.POSITIVE_INFINITY, canBeBlank = true } = {}) {
      const value = members[name];
      if (value === undefined) {
        if (isRequired) problems[name] = ['This field is required.'];
        return undefined;
      }
      if (value === null) problems[name] = ['This field may not be null.'];
      else if (typeof value !== 'string' && typeof value !== 'number') problems[name] = ['Not a valid string.'];
      else if (String(value) === '' && !canBeBlank) problems[name] = ['This field may not be blank.'];
      else if (String(value).length > maxLength)
        problems[name] = [`Ensure this field has no more than ${maxLength} characters.`];
      else if (String(value).includes('\0')) problems[name] = ['Null characters are not allowed.'];
      else return String(value);
      return undefined;
    },
    flag(name: string): boolean | undefined {
      const value = members[name];
      if (value === undefined) return undefined;
      if (value === true || value === 'true' || value === 1 || value === '1') return true;
      if (value === false || value === 'false' || value === 0 || value === '0') return false;
      problems[name] = ['Not a valid boolean.'];
      return undefined;
    },
    /** The id of something else. */
    id(name: string): number | undefined {
      const value = members[name];
      const id = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
      if (typeof id === 'number' && Number.isSafeInteger(id)) return id;
      problems[name] = [
        value === undefined
          ? 'This field is required.'
          : `Incorrect type. Expected pk value, received ${typeof value === 'string' ? 'str' : typeof value}.`,
      ];
      return undefined;
    },
    /** Throws what was wrong. */
    check(): void {
      if (Object.keys(problems).length > 0) throw objectErrors.invalid(problems);
    },
  };
}
