/** A time with six digits after the second, as clients parse it. */
export function syncanoTime(time: Date): string {
  return time.toISOString().replace('Z', '000Z');
}
