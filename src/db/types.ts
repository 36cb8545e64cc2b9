import pg from 'pg';

const INT8 = 20;
const DATE = 1082;
const TIMESTAMP = 1114;
const INT8_ARRAY = 1016;
const TEXT_ARRAY = 1009;

/** How columns come back (see database.ts). What is not named here follows the driver. */
export const columnTypes: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (format !== 'binary') {
      if (oid === INT8) return toNumber;
      if (oid === INT8_ARRAY) return toNumbers;
      // The driver would read both in the time zone of this machine.
      if (oid === DATE) return (text: string) => text;
      if (oid === TIMESTAMP) return (text: string) => new Date(`${text.replace(' ', 'T')}Z`);
    }
    return pg.types.getTypeParser(oid, format);
  }) as typeof pg.types.getTypeParser,
};

const parseTextArray = pg.types.getTypeParser(TEXT_ARRAY as never) as (text: string) => (string | null)[];

function toNumber(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number)) throw new RangeError(`bigint ${text} does not fit into a number`);
  return number;
}

function toNumbers(text: string): (number | null)[] {
  return parseTextArray(text).map((item) => (item === null ? null : toNumber(item)));
}
